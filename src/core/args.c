/* Arguments: one signature string a method, one converter an argument, one frame a call. */
#include "core.h"
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 16 };                     /* arguments of the longest signature */

/* --- signatures ------------------------------------------------------------------------------------------- */

static Py_ssize_t split(const char *text, PyObject **names, Py_ssize_t *required)
{
    Py_ssize_t total = 0;
    for (const char *p = text + strspn(text, " "); *p; p += strcspn(p, ","), p += strspn(p, ", ")) {
        size_t length = strcspn(p, ",=");
        if (names && !(names[total] = PyUnicode_FromStringAndSize(p, (Py_ssize_t)length))) return -1;
        if (names) PyUnicode_InternInPlace(&names[total]);
        total++;
        if (p[length] != '=') *required = total;
    }
    return total;
}

static int prepare(Signature *s)
{
    s->total = split(s->text, NULL, &s->required);
    PyObject **names = PyMem_Calloc((size_t)s->total + 1, sizeof *names);
    if (!names) { PyErr_NoMemory(); return -1; }
    if (split(s->text, names, &s->required) < 0) { PyMem_Free(names); return -1; }
    s->names = names;
    return 0;
}

static int complain(const Signature *s, const char *what, PyObject *name)
{
    PyErr_Format(PyExc_TypeError, "%s(%s): %s %R", s->name, s->text, what, name);
    return -1;
}

static Py_ssize_t find(const Signature *s, PyObject *name)
{
    for (Py_ssize_t i = 0; i < s->total; i++)
        if (s->names[i] == name) return i;
    for (Py_ssize_t i = 0; i < s->total; i++)
        if (PyUnicode_Compare(s->names[i], name) == 0) return i;
    return complain(s, "no argument", name);
}

static int fill(const Signature *s, PyObject **slots, ARGS)
{
    if (nargs > s->total) {
        PyErr_Format(PyExc_TypeError, "%s(%s): %zd arguments given, at most %zd taken", s->name, s->text, nargs, s->total);
        return -1;
    }
    memcpy(slots, args, (size_t)nargs * sizeof *slots);
    Py_ssize_t given = kwnames ? PyTuple_Size(kwnames) : 0;
    for (Py_ssize_t k = 0; k < given; k++) {
        PyObject *name = PyTuple_GetItem(kwnames, k);
        Py_ssize_t i = find(s, name);
        if (i < 0) return -1;
        if (slots[i]) return complain(s, "given twice:", name);
        slots[i] = args[nargs + k];
    }
    for (Py_ssize_t i = 0; i < s->required; i++)
        if (!slots[i]) return complain(s, "missing", s->names[i]);
    return 0;
}

int parse(Signature *s, Frame *frame, ARGS, ...)
{
    PyObject *slots[MOST];
    open_frame(frame, s);
    if (!s->names && prepare(s)) return RAISED;
    assert(s->total <= MOST);
    if (kwnames || nargs < s->required || nargs > s->total) {  /* else they stand in order as they are */
        memset(slots, 0, sizeof slots);
        if (fill(s, slots, args, nargs, kwnames)) return RAISED;
        args = slots;
        nargs = s->total;
    }
    va_list pairs;
    int bad = 0;
    va_start(pairs, kwnames);
    for (Py_ssize_t i = 0; i < nargs && !bad; i++) {
        Converter convert = va_arg(pairs, Converter);
        assert(convert);                /* a converter for each name of the signature */
        void *target = va_arg(pairs, void *);
        if (args[i] && convert(frame, args[i], target)) {
            PyObject *name = PyUnicode_AsUTF8String(s->names[i]);
            bad = name ? blame(frame, PyBytes_AsString(name)) : RAISED;
            Py_XDECREF(name);
        }
    }
    va_end(pairs);
    return bad;
}

int blame(const Frame *frame, const char *argument)
{
    PyObject *type, *value, *trace;
    PyErr_Fetch(&type, &value, &trace);
    if (type == PyExc_TypeError || type == PyExc_ValueError || type == PyExc_OverflowError || type == PyExc_BufferError || type == PyExc_KeyError) {
        PyErr_Format(type, "%s(%s): %s: %S", frame->signature->name, frame->signature->text, argument, value ? value : Py_None);
        Py_XDECREF(type);
        Py_XDECREF(value);
        Py_XDECREF(trace);
    } else
        PyErr_Restore(type, value, trace);
    return RAISED;
}

/* "source=ANY_SOURCE, tag=0" -> "source=..., tag=0": inspect.signature on 3.11 and 3.12 refuses names */
static void plain_defaults(char *to, const char *text)
{
    for (const char *p = text; *p;) {
        *to++ = *p++;
        if (p[-1] != '=') continue;
        size_t length = strcspn(p, ",");
        int literal = strchr("0123456789-\"'", *p) || !strncmp(p, "None", 4) || !strncmp(p, "True", 4) || !strncmp(p, "False", 5);
        memcpy(to, literal ? p : "...", literal ? length : 3);
        to += literal ? length : 3;
        p += length;
    }
    *to = 0;
}

/* "Send(buf, dest, tag=0)\nDoc." becomes "Send($self, buf, dest, tag=0)\n--\n\nSend(buf, dest, tag=0)\nDoc." */
int document(PyMethodDef *row, const char *self)
{
    for (; row->ml_name; row++) {
        const char *old = row->ml_doc, *open = old ? strchr(old, '(') : NULL, *close = old ? strstr(old, ")\n") : NULL;
        if (!open || !close) continue;
        char *text = malloc(2 * strlen(old) + 64), *plain = malloc(2 * (size_t)(close - open) + 8);
        char *given = malloc((size_t)(close - open));
        if (!text || !plain || !given) { free(text); free(plain); free(given); PyErr_NoMemory(); return -1; }
        memcpy(given, open + 1, (size_t)(close - open - 1));
        given[close - open - 1] = 0;
        plain_defaults(plain, given);
        sprintf(text, "%s(%s%s%s)\n--\n\n%s", row->ml_name, self, *plain ? ", " : "", plain, old);
        free(plain);
        free(given);
        row->ml_doc = text;             /* lives as long as the type */
    }
    return 0;
}

/* --- frames ----------------------------------------------------------------------------------------------- */

long live_frames, live_views;
static Frame *spare;

void open_frame(Frame *frame, const Signature *signature)
{
    frame->signature = signature;
    frame->nviews = frame->nheld = frame->nmemory = frame->ntypes = 0;
    frame->copies = NULL;
}

static void free_types(Frame *frame)
{
    Py_BEGIN_ALLOW_THREADS              /* a lock of MPI's may be held by a thread that waits for the GIL in a callback */
    while (frame->ntypes)
        if (MPI_Type_free(&frame->types[--frame->ntypes])) break;
    Py_END_ALLOW_THREADS
    frame->ntypes = 0;
}

void release_objects(Frame *frame)
{
    live_views -= frame->nviews;
    while (frame->nviews) PyBuffer_Release(&frame->views[--frame->nviews]);
    while (frame->nheld) Py_DECREF(frame->held[--frame->nheld]);
}

void close_frame(Frame *frame)
{
    release_objects(frame);
    Py_CLEAR(frame->copies);
    while (frame->nmemory) PyMem_Free(frame->memory[--frame->nmemory]);
    if (frame->ntypes) free_types(frame);
}

int bring_back(Frame *frame)
{
    if (!frame->copies) return 0;
    PyObject *devices = PyImport_ImportModule("mmpi.devices"), *done = devices ? PyObject_CallMethod(devices, "from_host", "O", frame->copies) : NULL;
    Py_XDECREF(devices);
    Py_XDECREF(done);
    Py_CLEAR(frame->copies);
    return done ? 0 : RAISED;
}

Frame *new_frame(void)
{
    Frame *frame = spare;
    if (frame) spare = frame->next;
    else if (!(frame = PyMem_Malloc(sizeof *frame))) { PyErr_NoMemory(); return NULL; }
    live_frames++;
    open_frame(frame, NULL);
    return frame;
}

void free_frame(Frame *frame)
{
    if (!frame) return;
    close_frame(frame);
    live_frames--;
    frame->next = spare;
    spare = frame;
}

Py_buffer *take_view(Frame *frame, PyObject *object, int flags)
{
    assert(frame->nviews < FRAME_VIEWS);
    if (PyObject_GetBuffer(object, &frame->views[frame->nviews], flags)) return NULL;
    live_views++;
    return &frame->views[frame->nviews++];
}

Frame *evacuate(Frame *old)
{
    Frame *frame = new_frame();
    if (!frame) return NULL;
    open_frame(frame, old->signature);
    for (int i = 0; i < old->nviews; i++) {     /* a view may point into its frame: take it anew */
        if (!take_view(frame, old->views[i].obj, PyBUF_SIMPLE)) { free_frame(frame); return NULL; }
    }
    memcpy(frame->held, old->held, sizeof old->held);
    memcpy(frame->memory, old->memory, sizeof old->memory);
    memcpy(frame->types, old->types, sizeof old->types);
    frame->nheld = old->nheld;
    frame->nmemory = old->nmemory;
    frame->ntypes = old->ntypes;
    old->nheld = old->nmemory = old->ntypes = 0;
    frame->copies = old->copies;
    old->copies = NULL;
    return frame;
}

void *frame_memory(Frame *frame, size_t count, size_t size)
{
    assert(frame->nmemory < FRAME_MEMORY);
    void *memory = PyMem_Calloc(count ? count : 1, size);          /* the hooks of UCX make malloc dear */
    if (!memory) { PyErr_NoMemory(); return NULL; }
    return frame->memory[frame->nmemory++] = memory;
}

int frame_hold(Frame *frame, PyObject *object)
{
    assert(frame->nheld < FRAME_HELD);
    frame->held[frame->nheld++] = Py_NewRef(object);
    return 0;
}

/* --- converters of plain values --------------------------------------------------------------------------- */

int to_object(Frame *frame, PyObject *value, void *target)
{
    (void)frame;
    *(PyObject **)target = value;
    return 0;
}

/* An int for what is a whole number without being one, such as size / 2 or numpy.True_, but no array of one; a new reference. */
static PyObject *whole_number(PyObject *value)
{
    PyObject *number = PyNumber_Index(value);
    if (number || !PyErr_ExceptionMatches(PyExc_TypeError) || !PyType_GetSlot(Py_TYPE(value), Py_nb_int) || PyType_GetSlot(Py_TYPE(value), Py_sq_length)) return number;
    PyErr_Clear();
    number = PyNumber_Long(value);
    int same = number ? PyObject_RichCompareBool(number, value, Py_EQ) : -1;
    if (!same) PyErr_Format(PyExc_TypeError, "%R is not a whole number", value);
    if (same <= 0) Py_CLEAR(number);
    return number;
}

static int to_number(PyObject *value, long long low, long long high, long long *number)
{
    *number = 0;
    PyObject *index = PyLong_CheckExact(value) ? Py_NewRef(value) : whole_number(value);
    if (!index) return -1;
    int overflow;
    *number = PyLong_AsLongLongAndOverflow(index, &overflow);   /* cannot fail for an int */
    Py_DECREF(index);
    if (!overflow && *number >= low && *number <= high) return 0;
    PyErr_Format(PyExc_OverflowError, "%R does not fit a C integer of %d bits", value, high == INT_MAX ? 32 : 64);
    return -1;
}

int to_int(Frame *frame, PyObject *value, void *target)
{
    (void)frame;
    long long number;
    if (to_number(value, INT_MIN, INT_MAX, &number)) return -1;
    *(int *)target = (int)number;
    return 0;
}

int to_count(Frame *frame, PyObject *value, void *target)
{
    (void)frame;
    long long number;
    if (to_number(value, LLONG_MIN, LLONG_MAX, &number)) return -1;
    *(MPI_Count *)target = (MPI_Count)number;
    return 0;
}

int to_size(Frame *frame, PyObject *value, void *target)
{
    (void)frame;
    long long number;
    if (to_number(value, large_counts ? LLONG_MIN : INT_MIN, large_counts ? LLONG_MAX : INT_MAX, &number)) return -1;
    *(MPI_Count *)target = (MPI_Count)number;
    return 0;
}

int to_aint(Frame *frame, PyObject *value, void *target)
{
    (void)frame;
    long long number;
    if (to_number(value, LLONG_MIN, LLONG_MAX, &number)) return -1;
    *(MPI_Aint *)target = (MPI_Aint)number;
    return 0;
}

int to_flag(Frame *frame, PyObject *value, void *target)
{
    (void)frame;
    int truth = PyObject_IsTrue(value);
    if (truth >= 0) *(int *)target = truth;
    return truth < 0 ? -1 : 0;
}

int to_text(Frame *frame, PyObject *value, void *target)
{
    (void)frame;
    const char *text = PyUnicode_AsUTF8AndSize(value, NULL);
    if (text) *(const char **)target = text;
    return text ? 0 : -1;
}

/* the items of a sequence, each by a converter, in the frame's memory */
static void *to_items(Frame *frame, PyObject *value, Converter convert, size_t size, int *count)
{
    Py_ssize_t n = PyUnicode_Check(value) ? -1 : PySequence_Size(value);
    if (n < 0 || n > INT_MAX) {
        PyErr_Format(PyExc_TypeError, "expected a sequence of integers, not %R", value);
        return NULL;
    }
    char *items = frame_memory(frame, (size_t)n, size);
    for (Py_ssize_t i = 0; items && i < n; i++) {
        PyObject *item = PySequence_GetItem(value, i);
        if (!item || convert(frame, item, items + (size_t)i * size)) items = NULL;
        Py_XDECREF(item);
    }
    *count = (int)n;
    return items;
}

int to_ints(Frame *frame, PyObject *value, void *target)
{
    Ints *ints = target;
    return (ints->at = to_items(frame, value, to_int, sizeof(int), &ints->count)) ? 0 : -1;
}

int to_sizes(Frame *frame, PyObject *value, void *target)
{
    Sizes *sizes = target;
    if (large_counts) sizes->at = to_items(frame, value, to_count, sizeof(MPI_Count), &sizes->count);
    else sizes->at = to_items(frame, value, to_int, sizeof(int), &sizes->count);
    return sizes->at ? 0 : -1;
}

int to_aints(Frame *frame, PyObject *value, void *target)
{
    Sizes *aints = target;
    return (aints->at = to_items(frame, value, to_aint, sizeof(MPI_Aint), &aints->count)) ? 0 : -1;
}

int same_length(const Frame *frame, const char *what, long a, long b)
{
    if (a == b) return 0;
    PyErr_Format(PyExc_ValueError, "%s(%s): %s differ in length: %ld and %ld", frame->signature->name, frame->signature->text, what, a, b);
    return -1;
}

PyObject *from_ints(const int *at, int count)
{
    PyObject *list = PyList_New(count);
    for (int i = 0; list && i < count; i++) {
        PyObject *item = PyLong_FromLong(at[i]);
        if (!item || PyList_SetItem(list, i, item)) Py_CLEAR(list);
    }
    return list;
}
