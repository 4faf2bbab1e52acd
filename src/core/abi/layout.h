/* PICK one of the three columns of the tables: that of the ABI family compiled for. */
#if defined(MMPI_ABI_STD)
#  define PICK(std, mpich, openmpi) std
#elif defined(MMPI_ABI_MPICH)
#  define PICK(std, mpich, openmpi) mpich
#elif defined(MMPI_ABI_OPENMPI)
#  define PICK(std, mpich, openmpi) openmpi
#else
#  error "define MMPI_ABI_STD, MMPI_ABI_MPICH, MMPI_ABI_OPENMPI or MMPI_ABI_SITE"
#endif
