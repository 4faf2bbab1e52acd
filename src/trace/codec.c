/* The coding of columns. Values wrap around at 64 bits, so that every difference has a code. */
#include <string.h>
#include "codec.h"

static inline uint8_t *put(uint8_t *to, uint64_t value)
{
    for (; value > 127; value >>= 7) *to++ = (uint8_t)(value | 128);
    *to++ = (uint8_t)value;
    return to;
}

static inline uint64_t folded(uint64_t value) { return (value << 1) ^ (0 - (value >> 63)); }
static inline uint64_t unfolded(uint64_t code) { return (code >> 1) ^ (0 - (code & 1)); }

size_t encode_column(const void *values, size_t n, enum Coding coding, uint8_t *to)
{
    uint8_t *at = to;
    uint64_t before = 0;
    for (size_t i = 0; i < n; i++) {
        uint64_t value;
        memcpy(&value, (const char *)values + i * sizeof value, sizeof value);
        at = put(at, coding == PLAIN ? value : folded(value - before));
        if (coding == DELTA) before = value;
    }
    return (size_t)(at - to);
}

/* One varint, NULL if it does not end or has more than 64 bits. */
static inline const uint8_t *get(const uint8_t *at, const uint8_t *end, uint64_t *value)
{
    uint64_t sum = 0;
    for (int shift = 0; at < end && shift < 64; shift += 7) {
        uint8_t byte = *at++;
        if (shift == 63 && byte > 1) return NULL;
        sum |= (uint64_t)(byte & 127) << shift;
        if (byte < 128) { *value = sum; return at; }
    }
    return NULL;
}

const char *decode_column(const uint8_t *from, size_t length, size_t n, enum Coding coding, int64_t *values)
{
    const uint8_t *at = from, *end = from + length;
    uint64_t before = 0, value = 0;
    if (n > length) return "fewer bytes than values";
    for (size_t i = 0; i < n; i++) {
        at = get(at, end, &value);
        if (!at) return "a value is cut off or has more than 64 bits";
        if (coding != PLAIN) value = unfolded(value);
        if (coding == DELTA) value = before += value;
        values[i] = (int64_t)value;
    }
    return at == end ? NULL : "more bytes than values";
}
