/* States, events and counters of C and C++ programs, in the trace that mmpi records (docs/tracing.md).
 *
 *     static int solve;
 *     if (!solve) solve = mmpi_state("solve", "teal", "n=%d");
 *     uint64_t at = mmpi_begin(solve);
 *     mmpi_values(at, "i", (long long)n);
 *     ...
 *     mmpi_end(solve);
 *
 * Header-only: nothing is to be linked. Where the recorder is not in the process, or does not record, nothing happens.
 * Names, colors and texts are copied. All functions may be called from any thread. */
#ifndef MMPI_TRACE_H
#define MMPI_TRACE_H
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif
#define MMPI_WEAK __attribute__((weak))
extern int mmpi_trace_on(void) MMPI_WEAK;
extern void mmpi_trace_pause(int yes) MMPI_WEAK;
extern int mmpi_trace_define(int kind, const char *name, const char *color, const char *format) MMPI_WEAK;
extern uint64_t mmpi_trace_begin(int operation, int site) MMPI_WEAK;
extern int mmpi_trace_end(int operation) MMPI_WEAK;
extern uint64_t mmpi_trace_mark(int operation, int site) MMPI_WEAK;
extern void mmpi_trace_values(uint64_t call, const int *types, const uint64_t *values, int n) MMPI_WEAK;
extern int mmpi_trace_string(const char *text) MMPI_WEAK;
extern int mmpi_trace_event_number(void) MMPI_WEAK;
extern int mmpi_trace_describe_events(int start, int end, const char *name, const char *color, const char *format) MMPI_WEAK;
extern int mmpi_trace_log(int event, long long data, const char *text) MMPI_WEAK;
extern int mmpi_trace_arrow(int sent, int peer, int tag, int64_t bytes) MMPI_WEAK;
#undef MMPI_WEAK

/* A state, an event, a counter, by name; color (of CSS) and format ("n=%d") may be NULL. 0 where there is no recorder. */
static inline int mmpi_state(const char *name, const char *color, const char *format) { return mmpi_trace_define ? mmpi_trace_define(0, name, color, format) : 0; }
static inline int mmpi_event(const char *name, const char *color, const char *format) { return mmpi_trace_define ? mmpi_trace_define(1, name, color, format) : 0; }
static inline int mmpi_counter(const char *name, const char *color, const char *format) { return mmpi_trace_define ? mmpi_trace_define(2, name, color, format) : 0; }

/* The state begins, and ends; the event happens, or the counter changes. What begins and happens can be given values. */
static inline uint64_t mmpi_begin(int state) { return state && mmpi_trace_begin ? mmpi_trace_begin(state, 0) : 0; }
static inline void mmpi_end(int state) { if (state && mmpi_trace_end) mmpi_trace_end(state); }
static inline uint64_t mmpi_mark(int event) { return event && mmpi_trace_mark ? mmpi_trace_mark(event, 0) : 0; }

/* At most eight values of what mmpi_begin or mmpi_mark returned, once: "i" a long long, "f" a double, "s" a text. */
static inline void mmpi_values(uint64_t at, const char *types, ...)
{
    int kinds[8], n = 0;
    uint64_t values[8];
    va_list list;
    if (!at || !mmpi_trace_values) return;
    va_start(list, types);
    for (; *types && n < 8; types++, n++) {
        kinds[n] = *types == 'i' ? 1 : *types == 'f' ? 2 : 3;
        if (*types == 'i') values[n] = (uint64_t)va_arg(list, long long);
        else if (*types == 'f') { double value = va_arg(list, double); memcpy(&values[n], &value, sizeof value); }
        else values[n] = (uint64_t)mmpi_trace_string(va_arg(list, const char *));
    }
    va_end(list);
    mmpi_trace_values(at, kinds, values, n);
}

/* A counter has another value. */
static inline void mmpi_count(int counter, double value) { mmpi_values(mmpi_mark(counter), "f", value); }

#ifdef __cplusplus
}
#endif
#endif
