/* The replay of a trace on an ideal network: when would each call have ended if communication took no time? One pass over the
 * calls' entries and exits, in the order in which they happened. A call tells groups that it has come; it ends when all that
 * the groups it needs have been told has come: a message is a group that its send tells and its receive needs. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <stdlib.h>
#include "replay.h"

typedef struct { Py_buffer buffer; const int64_t *at; size_t n; } Column;

typedef struct {
    size_t calls, groups;
    const int64_t *first, *work, *tells, *told, *needs, *needed;
    int64_t *entry, *exit, *came;       /* -1: not yet */
} Replay;

static void enter(Replay *r, size_t call);

static void leave(Replay *r, size_t call)
{
    if (r->exit[call] >= 0) return;
    if (r->entry[call] < 0) enter(r, call);
    int64_t time = r->entry[call];
    for (int64_t i = r->needs[call]; i < r->needs[call + 1]; i++)
        if (r->came[r->needed[i]] > time) time = r->came[r->needed[i]];
    r->exit[call] = time;
}

/* Entries and exits of a row alternate, but several may have the same time, in any order. */
static void enter(Replay *r, size_t call)
{
    if (r->entry[call] >= 0) return;
    size_t from = call;
    while (!r->first[from] && r->exit[from - 1] < 0 && r->entry[from - 1] < 0) from--;
    for (; from <= call; from++) {
        if (!r->first[from]) leave(r, from - 1);
        r->entry[from] = (r->first[from] ? 0 : r->exit[from - 1]) + r->work[from];
        for (int64_t i = r->tells[from]; i < r->tells[from + 1]; i++)
            if (r->came[r->told[i]] < r->entry[from]) r->came[r->told[i]] = r->entry[from];
    }
}

static int within(const Column *column, size_t n, int64_t below)
{
    if (column->n != n) return 0;
    for (size_t i = 0; i < n; i++)
        if (column->at[i] < 0 || column->at[i] >= below) return 0;
    return 1;
}

static int rises(const Column *column, size_t n, size_t end)
{
    if (column->n != n + 1 || column->at[0] != 0 || column->at[n] != (int64_t)end) return 0;
    for (size_t i = 0; i < n; i++)
        if (column->at[i] > column->at[i + 1]) return 0;
    return 1;
}

enum { ORDER, FIRST, WORK, TELLS, TOLD, NEEDS, NEEDED, COLUMNS };

/* What is wrong with the columns, NULL if nothing is. */
static const char *wrong(const Column *c, size_t groups)
{
    size_t n = c[FIRST].n;
    if (n && !c[FIRST].at[0]) return "the first call must be the first of its row";
    if (!within(&c[ORDER], c[ORDER].n, (int64_t)n * 2)) return "order: a number that is no entry or exit";
    if (!within(&c[WORK], n, INT64_MAX / ((int64_t)n + 1))) return "work: one time a call, not negative, and not too long";
    if (!rises(&c[TELLS], n, c[TOLD].n) || !rises(&c[NEEDS], n, c[NEEDED].n)) return "tells, needs: must rise from 0 to the end of the lists";
    if (!within(&c[TOLD], c[TOLD].n, (int64_t)groups) || !within(&c[NEEDED], c[NEEDED].n, (int64_t)groups)) return "told, needed: a group that is none";
    return NULL;
}

static PyObject *run(const Column *c, size_t groups)
{
    size_t n = c[FIRST].n;
    PyObject *result = PyByteArray_FromStringAndSize(NULL, (Py_ssize_t)(n * sizeof(int64_t)));
    int64_t *memory = malloc((n + groups + 1) * sizeof(int64_t));
    if (!result || !memory) {
        Py_XDECREF(result);
        free(memory);
        return PyErr_NoMemory();
    }
    Replay r = {n, groups, c[FIRST].at, c[WORK].at, c[TELLS].at, c[TOLD].at, c[NEEDS].at, c[NEEDED].at,
                memory, (int64_t *)PyByteArray_AsString(result), memory + n};
    Py_BEGIN_ALLOW_THREADS
    for (size_t i = 0; i < n; i++) r.entry[i] = r.exit[i] = -1;
    for (size_t i = 0; i < groups; i++) r.came[i] = -1;
    for (size_t i = 0; i < c[ORDER].n; i++) {
        size_t event = (size_t)c[ORDER].at[i];
        if (event % 2) leave(&r, event / 2);
        else enter(&r, event / 2);
    }
    for (size_t i = 0; i < n; i++)
        if (r.exit[i] < 0) r.exit[i] = r.entry[i];
    Py_END_ALLOW_THREADS
    free(memory);
    return result;
}

PyObject *replay(PyObject *module, PyObject *args)
{
    Column columns[COLUMNS];
    Py_ssize_t groups;
    const char *problem = NULL;
    PyObject *result = NULL;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*y*y*y*y*y*y*n:replay", &columns[0].buffer, &columns[1].buffer, &columns[2].buffer, &columns[3].buffer,
                          &columns[4].buffer, &columns[5].buffer, &columns[6].buffer, &groups)) return NULL;
    for (int i = 0; i < COLUMNS; i++) {
        columns[i].at = columns[i].buffer.buf;
        columns[i].n = (size_t)columns[i].buffer.len / sizeof(int64_t);
        if (columns[i].buffer.len % (Py_ssize_t)sizeof(int64_t)) problem = "a column is no array of 64-bit integers";
    }
    if (!problem && (groups < 0 || groups > PY_SSIZE_T_MAX / 32)) problem = "groups: not a number of groups";
    if (!problem) problem = wrong(columns, (size_t)groups);
    if (problem) PyErr_Format(PyExc_ValueError, "replay: %s", problem);
    else result = run(columns, (size_t)groups);
    for (int i = 0; i < COLUMNS; i++) PyBuffer_Release(&columns[i].buffer);
    return result;
}
