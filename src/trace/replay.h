#ifndef MMPI_TRACE_REPLAY_H
#define MMPI_TRACE_REPLAY_H
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#define REPLAY_DOC "replay(order, first, work, tells, told, needs, needed, groups, /)\n--\n\n" \
    "When each call would have ended on an ideal network, a bytearray of 64-bit integers. All but `groups`, their number, are buffers of 64-bit integers:\n" \
    "order: the events, 2 * call for its entry, 2 * call + 1 for its exit, as they happened; first: 1 for the first call of a row; work: time between the call before\n" \
    "(or the start) and this one; told[tells[call]:tells[call + 1]]: groups that it tells when it comes; needed[needs[call]:needs[call + 1]]: groups that it needs."
PyObject *replay(PyObject *module, PyObject *args);
#endif
