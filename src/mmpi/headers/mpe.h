/* The names of MPE, for old C code, over mmpi_trace.h: what it logs stands in the trace that mmpi records.
 *
 * Where nothing records, nothing happens, and all functions succeed. The file name of MPE_Finish_log means nothing: the
 * trace has its folder. Functions return 0, or 1 for a number that was not described, a state that ends without a begin, a rank that is none. */
#ifndef MMPI_MPE_H
#define MMPI_MPE_H
#include "mmpi_trace.h"

#define MPE_LOG_OK 0
#define MPE_LOG_NOT_INITIALIZED 1
typedef char MPE_LOG_BYTES[32];

static inline int MPE_Init_log(void) { return 0; }
static inline int MPE_Initialized_logging(void) { return mmpi_trace_on && mmpi_trace_on(); }
static inline int MPE_Start_log(void) { if (mmpi_trace_pause) mmpi_trace_pause(0); return 0; }
static inline int MPE_Stop_log(void) { if (mmpi_trace_pause) mmpi_trace_pause(1); return 0; }
static inline int MPE_Finish_log(const char *name) { (void)name; return 0; }

static inline int MPE_Log_get_event_number(void) { return mmpi_trace_event_number ? mmpi_trace_event_number() : 0; }
static inline int MPE_Log_get_solo_eventID(int *event) { *event = MPE_Log_get_event_number(); return 0; }
static inline int MPE_Log_get_state_eventIDs(int *start, int *end)
{
    *start = MPE_Log_get_event_number();
    *end = MPE_Log_get_event_number();
    return 0;
}

static inline int MPE_Describe_info_state(int start, int end, const char *name, const char *color, const char *format)
{
    return mmpi_trace_describe_events ? mmpi_trace_describe_events(start, end, name, color, format) != 0 : 0;
}
static inline int MPE_Describe_state(int start, int end, const char *name, const char *color) { return MPE_Describe_info_state(start, end, name, color, ""); }
static inline int MPE_Describe_info_event(int event, const char *name, const char *color, const char *format) { return MPE_Describe_info_state(event, 0, name, color, format); }
static inline int MPE_Describe_event(int event, const char *name, const char *color) { return MPE_Describe_info_state(event, 0, name, color, ""); }

static inline int MPE_Log_event(int event, int data, const char *text) { return mmpi_trace_log ? mmpi_trace_log(event, data, text) : 0; }
static inline int MPE_Log_bare_event(int event) { return MPE_Log_event(event, 0, ""); }

/* Arrows made by hand: the k-th logged to a rank with a tag belongs to the k-th that it logs from here; size in bytes. */
static inline int MPE_Log_send(int rank, int tag, int size) { return mmpi_trace_arrow ? mmpi_trace_arrow(1, rank, tag, size) : 0; }
static inline int MPE_Log_receive(int rank, int tag, int size) { return mmpi_trace_arrow ? mmpi_trace_arrow(0, rank, tag, size) : 0; }
#endif
