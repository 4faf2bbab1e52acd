/* The C side of startup.py: says hello, and how many pages of memory this rank holds. */
#include <mpi.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    long pages = 0;
    FILE *file;
    MPI_Init(&argc, &argv);
    if ((file = fopen("/proc/self/statm", "r"))) {
        if (fscanf(file, "%*d %ld", &pages) != 1)
            pages = 0;
        fclose(file);
    }
    printf("hello %ld\n", pages);
    return MPI_Finalize();
}
