/* Columns of the merged file: 64-bit integers as varints (LEB128). docs/trace-format.md. */
#ifndef MMPI_TRACE_CODEC_H
#define MMPI_TRACE_CODEC_H
#include <stddef.h>
#include <stdint.h>

enum Coding { DELTA, PLAIN, ZIGZAG };
enum { VARINT = 10 };                   /* bytes of the longest */

/* Write n values behind each other, which may lie at any address; returns how many bytes they took, at most VARINT each. */
size_t encode_column(const void *values, size_t n, enum Coding coding, uint8_t *to);

/* Read n values from exactly `length` bytes. NULL, or what is wrong with them. */
const char *decode_column(const uint8_t *from, size_t length, size_t n, enum Coding coding, int64_t *values);
#endif
