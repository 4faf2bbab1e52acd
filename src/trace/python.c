/* mmpi._trace: what the recorder knows of Python. The core tells it of calls of MPI, by a Recorder (core/flight.h); here
 * come the place in Python where a call was made, and the objects for a user's states, events and counters. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>
#include <string.h>
#include "../core/flight.h"
#include "recorder.h"

#define RARE __attribute__((noinline, cold))    /* so that it does not make the way of each call longer */
#define SLOT(id, function) {id, (void *)(uintptr_t)(function)}      /* ISO C knows no function pointer in a void * */
#define METHOD(name, function, flags, doc) {name, (PyCFunction)(void (*)(void))function, flags, doc}

/* --- where in Python -------------------------------------------------------------------------------------- */

/* not in the limited API, but there */
extern int PyFrame_GetLasti(PyFrameObject *) __attribute__((weak));
extern PyFrameObject *PyFrame_GetBack(PyFrameObject *) __attribute__((weak));

enum { MOST_SITES = 1 << 20, INNER = -1 };
typedef struct { PyObject *code; int at, id, session; } Site;       /* id: INNER for a place in mmpi itself; its caller counts */
static Site *sites;
static size_t nsites, room;
static int last_site;
static char own_folder[4096];

static inline size_t first_place(PyObject *code, int at)       /* quick, for each call waits for it */
{
    const size_t i = ((uintptr_t)code >> 4) + (size_t)at * 37;
    return i ^ i >> 11;
}

static size_t place_of(const Site *table, size_t size, PyObject *code, int at)
{
    for (size_t i = first_place(code, at);; i++) {
        const Site *s = &table[i & (size - 1)];
        if (!s->code || (s->code == code && s->at == at)) return i & (size - 1);
    }
}

static int grow(void)
{
    size_t size = room ? room * 2 : 1024;
    Site *bigger = PyMem_Calloc(size, sizeof *bigger);
    if (!bigger) return -1;
    for (size_t i = 0; i < room; i++)
        if (sites[i].code) bigger[place_of(bigger, size, sites[i].code, sites[i].at)] = sites[i];
    PyMem_Free(sites);
    sites = bigger;
    room = size;
    return 0;
}

static void text_of(PyObject *object, const char *name, char *text, size_t size)
{
    PyObject *value = PyObject_GetAttrString(object, name), *bytes = value ? PyUnicode_AsEncodedString(value, "utf-8", "backslashreplace") : NULL;
    PyOS_snprintf(text, size, "%s", bytes ? PyBytes_AsString(bytes) : "?");
    PyErr_Clear();
    Py_XDECREF(value);
    Py_XDECREF(bytes);
}

/* a line, seen for the first time in this recording: put it into words */
static void describe_line(Site *s)
{
    char file[4096], function[256];
    PyObject *type, *value, *trace;
    PyErr_Fetch(&type, &value, &trace);
    text_of(s->code, "co_filename", file, sizeof file);
    text_of(s->code, "co_qualname", function, sizeof function);
    if (!s->id) s->id = !strncmp(file, own_folder, strlen(own_folder)) ? INNER : last_site < MOST_SITES - 1 ? ++last_site : 0;
    if (s->id > 0) mmpi_trace_site(s->id, file, -s->at, function);
    s->session = mmpi_trace_session();
    PyErr_Restore(type, value, trace);
}

static int session;                     /* as mmpi_trace_session() says, kept here since it is asked for at each call */

static Site *entry_of(PyObject *code, int at)   /* a new one if need be; NULL without memory */
{
    Site *s = room ? &sites[place_of(sites, room, code, at)] : NULL;
    if (s && s->code) return s;
    if (nsites * 2 >= room && grow()) return NULL;
    s = &sites[place_of(sites, room, code, at)];
    *s = (Site){Py_NewRef(code), at, 0, 0};
    nsites++;
    return s;
}

/* The site of an instruction that is not at its first place, or that this recording has not met yet. Then it is that of its line,
 * since the condition of a loop, say, is compiled twice. */
static RARE const Site *find_or_add(PyFrameObject *frame, PyObject *code)
{
    const Site *found = room && PyFrame_GetLasti ? &sites[place_of(sites, room, code, PyFrame_GetLasti(frame))] : NULL;
    if (found && found->code && found->session == session) return found;
    Site *line = entry_of(code, -PyFrame_GetLineNumber(frame));
    if (line && line->session != session) describe_line(line);
    if (!line || !PyFrame_GetLasti) return line;
    const Site known = *line;
    Site *s = entry_of(code, PyFrame_GetLasti(frame));         /* the table may have grown */
    if (s) { s->id = known.id; s->session = known.session; }
    return s;
}

static inline const Site *site_of(PyFrameObject *frame)
{
    PyObject *code = (PyObject *)PyFrame_GetCode(frame);
    const int at = room && PyFrame_GetLasti ? PyFrame_GetLasti(frame) : -1;
    const Site *s = at < 0 ? NULL : &sites[first_place(code, at) & (room - 1)];
    if (!s || s->code != code || s->at != at || s->session != session) s = find_or_add(frame, code);
    Py_DECREF(code);
    return s;
}

/* where mmpi itself calls, the place that called that */
static RARE int outer_site(PyFrameObject *frame)
{
    PyFrameObject *outer = NULL;
    const Site *s;
    do {
        frame = PyFrame_GetBack(frame);
        Py_XDECREF((PyObject *)outer);
        outer = frame;
        s = frame ? site_of(frame) : NULL;
    } while (s && s->id == INNER);
    Py_XDECREF((PyObject *)outer);
    return s ? s->id : 0;
}

/* the number of the place of this call; 0: not known */
static inline int find_site(void)
{
    PyFrameObject *frame = (PyFrameObject *)PyEval_GetFrame();
    const Site *s = frame ? site_of(frame) : NULL;
    return !s ? 0 : s->id != INNER ? s->id : PyFrame_GetBack ? outer_site(frame) : 0;
}

/* --- what the core tells ---------------------------------------------------------------------------------- */

static Recorder recorder;
static int told[FIRST_USER];            /* operations: the recording that knows it */

static int peer_of(int peer) { return peer == NONE || peer < 0 ? peer == recorder.proc_null ? TRACE_PROC_NULL : TRACE_NO_PEER : peer; }
static int tag_of(int tag) { return tag == NONE || tag == recorder.any_tag ? -1 : tag; }

static unsigned wildcards(int peer, int tag)
{
    return (peer == recorder.any_source ? RECORD_ANY_SOURCE : 0) | (tag == recorder.any_tag ? RECORD_ANY_TAG : 0);
}

typedef struct { int32_t numbers[4]; const char *name; } Described;

/* of WORLD the record says nothing that all know */
static Described describe_comm(const Known *known)
{
    int world = known->id == 1;
    return (Described){{known->rank, known->size, known->remote_size, world ? 0 : known->leader}, world && !*known->name ? "MPI_COMM_WORLD" : known->name};
}

/* the latest communicators; asking the recorder takes longer */
static struct { uint64_t id; int session, number; } told_comms[16];

static int comm_of(const Known *known)
{
    const uint64_t id = known->id;
    const size_t i = id % 16;
    if (told_comms[i].id == id && told_comms[i].session == session) return told_comms[i].number;
    const Described d = describe_comm(known);
    const int number = mmpi_trace_comm(id, known->parent, d.numbers, d.name);
    told_comms[i].id = id;
    told_comms[i].session = session;
    return told_comms[i].number = number;
}

static uint64_t on_enter(const Call *call, const Known *known, int how)
{
    int operation = call->operation + 1, both = call->got_source != NONE, peer = call->peer == NONE ? call->root : call->peer;
    if (operation >= FIRST_USER) return 0;
    if (told[operation] != session) { told[operation] = session; mmpi_trace_operation(operation, recorder.names[operation - 1]); }
    TraceCall c = {
        .operation = operation, .site = find_site(), .comm = known ? comm_of(known) : 0, .peer = peer_of(peer), .bytes = call->bytes,
        .tag = call->collective ? (int)(uint32_t)call->collective : tag_of(call->tag),
        .flags = wildcards(call->peer, call->tag) | (how & MADE_TYPE ? RECORD_DERIVED : 0) | (how & MADE_COPY ? RECORD_COPIED : 0),
        .waits = call->requests > 0, .both = both};
    if (both) { c.from = peer_of(call->got_source); c.from_tag = tag_of(call->got_tag); c.from_flags = wildcards(call->got_source, call->got_tag); }
    return mmpi_trace_enter(&c);
}

static void on_leave(uint64_t number, int rc, int in_vain, int known, int source, int tag, int64_t bytes)
{
    const TraceEnd end = {.error = rc != 0, .in_vain = in_vain, .known = known, .peer = peer_of(source), .tag = tag_of(tag), .bytes = bytes};
    mmpi_trace_leave(number, &end);
}

static void on_completed(uint64_t wait, uint64_t start, int source, int tag, int64_t bytes, int cancelled)
{
    mmpi_trace_completed(wait, start, peer_of(source), tag_of(tag), bytes, cancelled);
}

static void on_unpacked(uint64_t call, uint64_t began, int64_t bytes) { mmpi_trace_nested(call, NESTED_UNPICKLE, began, bytes); }

static void on_named(const Known *known)
{
    const Described d = describe_comm(known);
    mmpi_trace_name(known->id, known->parent, d.numbers, d.name);
}

static void on_spawned(const Known *known, int64_t ago) { mmpi_trace_spawned(known->id, known->remote_size, ago); }

static Recorder recorder = {.enter = on_enter, .leave = on_leave, .completed = on_completed, .started = mmpi_trace_started,
                            .ticks = mmpi_trace_ticks, .packed = mmpi_trace_packed, .unpacked = on_unpacked, .named = on_named,
                            .spawned = on_spawned};

/* --- values ----------------------------------------------------------------------------------------------- */

enum { VALUES = 8 };
typedef struct { int types[VALUES], n; uint64_t values[VALUES]; } Payload;

typedef struct {                        /* a state, an event, a counter */
    PyObject_HEAD
    int kind, operation, given;         /* given: the format is the user's */
    PyObject *name, *names;             /* names: of its values, a list */
} Named;

static PyTypeObject *StateType, *ScopeType;
static PyObject *wrap;                  /* mmpi.trace._wrap(state, function) */

static void put_float(Payload *p, int i, double value)
{
    p->types[i] = VALUE_FLOAT;
    memcpy(&p->values[i], &value, sizeof value);
}

static void put_text(Payload *p, int i, PyObject *value)
{
    PyObject *text = PyObject_Str(value), *bytes = text ? PyUnicode_AsEncodedString(text, "utf-8", "backslashreplace") : NULL;
    p->types[i] = bytes ? VALUE_STRING : VALUE_NONE;
    p->values[i] = bytes ? (uint64_t)mmpi_trace_string(PyBytes_AsString(bytes)) : 0;
    Py_XDECREF(text);
    Py_XDECREF(bytes);
}

/* Any object is some value: an integer if it can be one, a float, else its text. */
static void put_value(Payload *p, int i, PyObject *value)
{
    int large = 0;
    PyObject *number = PyFloat_Check(value) || PyUnicode_Check(value) ? NULL : PyNumber_Index(value);
    long long integer = number ? PyLong_AsLongLongAndOverflow(number, &large) : 0;
    double real = number && !large ? 0 : PyUnicode_Check(value) ? 0 : PyFloat_AsDouble(number ? number : value);
    if (number && !large) { p->types[i] = VALUE_INT; p->values[i] = (uint64_t)integer; }
    else if (PyUnicode_Check(value) || (real == -1 && PyErr_Occurred() && !PyFloat_Check(value))) { PyErr_Clear(); put_text(p, i, value); }
    else put_float(p, i, real);
    PyErr_Clear();
    Py_XDECREF(number);
    if (i >= p->n) p->n = i + 1;
}

/* With values of new names the format changes, unless the user gave one. */
static int tell_format(Named *self, const Payload *p)
{
    static const char *const forms[] = {"%s", "%d", "%g", "%s"};
    char text[512] = "";
    if (self->given) return 0;
    for (int i = 0; i < PyList_Size(self->names) && i < VALUES; i++) {
        PyObject *name = PyUnicode_AsUTF8String(PyList_GetItem(self->names, i));
        size_t used = strlen(text);
        if (!name) return -1;
        PyOS_snprintf(text + used, sizeof text - used, "%s%s=%s", i ? " " : "", PyBytes_AsString(name), forms[i < p->n ? p->types[i] : 0]);
        Py_DECREF(name);
    }
    return mmpi_trace_describe(self->operation, text);
}

static int position_of(Named *self, PyObject *name, int *added)
{
    Py_ssize_t n = PyList_Size(self->names), i = 0;
    while (i < n && PyUnicode_Compare(PyList_GetItem(self->names, i), name)) i++;
    if (i < n) return (int)i;
    if (n == VALUES) { PyErr_Format(PyExc_TypeError, "%U(%U=...): it has %d values already, no more have room", self->name, name, VALUES); return -1; }
    *added = 1;
    return PyList_Append(self->names, name) ? -1 : (int)n;
}

static int take_values(Named *self, PyObject *args, PyObject *kwargs, Payload *p)
{
    PyObject *name, *value;
    Py_ssize_t at = 0, n = PyTuple_Size(args);
    int added = 0;
    *p = (Payload){.n = 0};
    if (n > VALUES) { PyErr_Format(PyExc_TypeError, "%U(...): expected at most %d values, not %zd", self->name, VALUES, n); return -1; }
    for (int i = 0; i < n; i++) put_value(p, i, PyTuple_GetItem(args, i));
    while (kwargs && PyDict_Next(kwargs, &at, &name, &value)) {
        int i = position_of(self, name, &added);
        if (i < 0) return -1;
        put_value(p, i, value);
    }
    return added ? tell_format(self, p) : 0;
}

static void record_values(uint64_t number, const Payload *p)
{
    if (number && p->n) mmpi_trace_values(number, p->types, p->values, p->n);
}

/* --- states ----------------------------------------------------------------------------------------------- */

typedef struct { PyObject_HEAD Named *state; Payload payload; } Scope;      /* what `with S(cells=3):` enters */

static PyObject *enter(PyObject *result, const Named *state, const Payload *payload)
{
    uint64_t number = mmpi_trace_on() ? mmpi_trace_begin(state->operation, find_site()) : 0;
    if (payload) record_values(number, payload);
    return Py_NewRef(result);
}

static PyObject *named_enter(PyObject *self, PyObject *unused)
{
    (void)unused;
    return enter(self, (Named *)self, NULL);
}

static PyObject *scope_enter(PyObject *self, PyObject *unused)
{
    (void)unused;
    return enter(self, ((Scope *)self)->state, &((Scope *)self)->payload);
}

static PyObject *named_exit(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
    (void)args; (void)n;
    mmpi_trace_end(((Named *)self)->operation);         /* recording may have begun, or paused, inside */
    return Py_NewRef(Py_False);
}

static PyObject *scope_exit(PyObject *self, PyObject *const *args, Py_ssize_t n) { return named_exit((PyObject *)((Scope *)self)->state, args, n); }

static PyObject *named_begin(PyObject *self, PyObject *args, PyObject *kwargs)
{
    Payload p;
    if (!mmpi_trace_on()) Py_RETURN_NONE;
    if (take_values((Named *)self, args, kwargs, &p)) return NULL;
    record_values(mmpi_trace_begin(((Named *)self)->operation, find_site()), &p);
    Py_RETURN_NONE;
}

static PyObject *named_end(PyObject *self, PyObject *unused)
{
    const Named *s = (Named *)self;
    (void)unused;
    if (!mmpi_trace_on() || mmpi_trace_end(s->operation) <= 0) Py_RETURN_NONE;
    return PyErr_Format(PyExc_RuntimeError, "state '%U' ends inside another that began later and has not ended", s->name);
}

static PyObject *state_call(PyObject *self, PyObject *args, PyObject *kwargs)
{
    Payload p;
    if (PyTuple_Size(args) == 1 && (!kwargs || !PyDict_Size(kwargs)) && PyCallable_Check(PyTuple_GetItem(args, 0)))
        return PyObject_CallFunctionObjArgs(wrap, self, PyTuple_GetItem(args, 0), NULL);
    if (!mmpi_trace_on()) return Py_NewRef(self);
    if (take_values((Named *)self, args, kwargs, &p)) return NULL;
    Scope *scope = (Scope *)PyType_GenericAlloc(ScopeType, 0);
    if (!scope) return NULL;
    scope->state = (Named *)Py_NewRef(self);
    scope->payload = p;
    return (PyObject *)scope;
}

static PyObject *mark_call(PyObject *self, PyObject *args, PyObject *kwargs)
{
    Payload p;
    if (!mmpi_trace_on()) Py_RETURN_NONE;
    if (take_values((Named *)self, args, kwargs, &p)) return NULL;
    record_values(mmpi_trace_mark(((Named *)self)->operation, find_site()), &p);
    Py_RETURN_NONE;
}

static void scope_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    Py_XDECREF((PyObject *)((Scope *)self)->state);
    PyObject_Free(self);
    Py_DECREF((PyObject *)type);
}

/* State(kind, name, color, format, names): of mmpi.trace, which has looked at the arguments */
static PyObject *named_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    int kind; PyObject *name, *names; const char *color, *format;
    if (kwargs || !PyArg_ParseTuple(args, "iUssO!", &kind, &name, &color, &format, &PyList_Type, &names)) return NULL;
    PyObject *text = PyUnicode_AsEncodedString(name, "utf-8", "backslashreplace");
    int operation = text ? mmpi_trace_define(kind, PyBytes_AsString(text), color, format) : 0;
    Py_XDECREF(text);
    if (!text) return NULL;
    if (!operation) return PyErr_Format(PyExc_ValueError, "'%U': there are %d states, events and counters already, no more have room", name, FIRST_EXTENSION - FIRST_USER);
    Named *self = (Named *)PyType_GenericAlloc(type, 0);
    if (!self) return NULL;
    self->kind = kind;
    self->operation = operation;
    self->given = *format != 0;
    self->name = Py_NewRef(name);
    self->names = Py_NewRef(names);
    return (PyObject *)self;
}

static void named_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    Py_XDECREF(((Named *)self)->name);
    Py_XDECREF(((Named *)self)->names);
    PyObject_Free(self);
    Py_DECREF((PyObject *)type);
}

static PyObject *named_repr(PyObject *self)
{
    return PyUnicode_FromFormat("<%s '%U'>", ((Named *)self)->kind == STATE_STATE ? "state" : ((Named *)self)->kind == STATE_EVENT ? "event" : "counter", ((Named *)self)->name);
}

static PyMemberDef members[] = {{"name", T_OBJECT_EX, offsetof(Named, name), READONLY, "How it is called in the picture."}, {NULL, 0, 0, 0, NULL}};
static PyMethodDef state_methods[] = {
    METHOD("__enter__", named_enter, METH_NOARGS, NULL), METHOD("__exit__", named_exit, METH_FASTCALL, NULL),
    METHOD("begin", named_begin, METH_VARARGS | METH_KEYWORDS, "begin($self, *values, **named)\n--\n\nThe state begins here, with these values."),
    METHOD("end", named_end, METH_NOARGS, "end($self)\n--\n\nThe state ends. RuntimeError if one that began later has not ended."), {NULL, NULL, 0, NULL}};
static PyMethodDef scope_methods[] = {METHOD("__enter__", scope_enter, METH_NOARGS, NULL), METHOD("__exit__", scope_exit, METH_FASTCALL, NULL), {NULL, NULL, 0, NULL}};
#define SLOTS SLOT(Py_tp_new, named_new), SLOT(Py_tp_dealloc, named_dealloc), SLOT(Py_tp_repr, named_repr), {Py_tp_members, members}
static PyType_Slot state_slots[] = {SLOTS, SLOT(Py_tp_call, state_call), {Py_tp_methods, state_methods}, {Py_tp_doc, "A part of a program that shows in the picture."}, {0, NULL}};
static PyType_Slot mark_slots[] = {SLOTS, SLOT(Py_tp_call, mark_call), {Py_tp_doc, "Something that happens, or a number that changes; calling it records it, with its values."}, {0, NULL}};
static PyType_Slot scope_slots[] = {SLOT(Py_tp_dealloc, scope_dealloc), {Py_tp_methods, scope_methods}, {0, NULL}};
static PyType_Spec state_spec = {"mmpi.trace.State", sizeof(Named), 0, Py_TPFLAGS_DEFAULT, state_slots};
static PyType_Spec mark_spec = {"mmpi.trace.Mark", sizeof(Named), 0, Py_TPFLAGS_DEFAULT, mark_slots};
static PyType_Spec scope_spec = {"mmpi.trace.Scope", sizeof(Scope), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, scope_slots};

/* --- functions -------------------------------------------------------------------------------------------- */

static PyObject *start(PyObject *self, PyObject *args)
{
    TraceOptions o; unsigned long long limit; const char *step;
    (void)self;
    if (!PyArg_ParseTuple(args, "ssssiipKp", &o.folder, &o.job, &o.program, &o.library, &o.rank, &o.size, &o.spawned, &limit, &o.ring)) return NULL;
    o.limit = limit;
    int error = mmpi_trace_start(&o, &step);
    session = mmpi_trace_session();
    if (!error) Py_RETURN_NONE;
    PyObject *arguments = Py_BuildValue("iNs", error, PyUnicode_FromFormat("cannot record: %s: %s", step, strerror(error)), o.folder);
    if (arguments) PyErr_SetObject(PyExc_OSError, arguments);
    Py_XDECREF(arguments);
    return NULL;
}

#define NOTHING(name, call) static PyObject *name(PyObject *self, PyObject *unused) { (void)self; (void)unused; call; Py_RETURN_NONE; }
NOTHING(stop, mmpi_trace_stop(); session = 0)
NOTHING(flush, mmpi_trace_flush())
#define ANSWER(name, result) static PyObject *name(PyObject *self, PyObject *unused) { (void)self; (void)unused; return result; }
ANSWER(is_on, PyBool_FromLong(mmpi_trace_on()))
ANSWER(is_started, PyBool_FromLong(mmpi_trace_session() != 0))
ANSWER(now, PyLong_FromLongLong(mmpi_trace_now()))
ANSWER(boot, PyUnicode_FromString(mmpi_trace_boot()))
ANSWER(event_number, PyLong_FromLong(mmpi_trace_event_number()))

static PyObject *read_limit(PyObject *self, PyObject *args)
{
    const char *name, *text, *wrong; uint64_t bytes; int ring;
    (void)self;
    if (!PyArg_ParseTuple(args, "ss", &name, &text)) return NULL;
    if ((wrong = mmpi_trace_limit(text, &bytes, &ring))) return PyErr_Format(PyExc_ValueError, "%s: %s, not '%s'", name, wrong, text);
    return Py_BuildValue("KO", (unsigned long long)bytes, ring ? Py_True : Py_False);
}

static PyObject *pause_recording(PyObject *self, PyObject *yes)
{
    (void)self;
    mmpi_trace_pause(PyObject_IsTrue(yes));
    Py_RETURN_NONE;
}

static PyObject *set_rank(PyObject *self, PyObject *args)
{
    int rank, size, spawned; const char *library;
    (void)self;
    if (!PyArg_ParseTuple(args, "siip", &library, &rank, &size, &spawned)) return NULL;
    mmpi_trace_rank(rank, size, spawned, library);
    Py_RETURN_NONE;
}

static PyObject *clock_told(PyObject *self, PyObject *args)
{
    int peer; long long time, difference, bound;
    (void)self;
    if (!PyArg_ParseTuple(args, "iLLL", &peer, &time, &difference, &bound)) return NULL;
    mmpi_trace_clock(peer, time, difference, bound);
    Py_RETURN_NONE;
}

static PyObject *describe_events(PyObject *self, PyObject *args)
{
    int start_event, end_event; const char *name, *color, *format;
    (void)self;
    if (!PyArg_ParseTuple(args, "iisss", &start_event, &end_event, &name, &color, &format)) return NULL;
    return PyBool_FromLong(!mmpi_trace_describe_events(start_event, end_event, name, color, format));
}

static PyObject *log_event(PyObject *self, PyObject *args)
{
    int event; long long data; const char *text;
    (void)self;
    if (!PyArg_ParseTuple(args, "iLs", &event, &data, &text)) return NULL;
    return PyBool_FromLong(!mmpi_trace_log(event, data, text));
}

static PyObject *prepare(PyObject *self, PyObject *args)
{
    PyObject *function; const char *text;
    (void)self;
    if (!PyArg_ParseTuple(args, "sO", &text, &function)) return NULL;
    PyOS_snprintf(own_folder, sizeof own_folder, "%s", text);
    Py_XDECREF(wrap);
    wrap = Py_NewRef(function);
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    METHOD("prepare", prepare, METH_VARARGS, "Our own folder, whose code is not where calls are made, and what decorates a function."),
    METHOD("start", start, METH_VARARGS, "Record into a folder: folder, job, program, library, rank, size, spawned, limit in bytes, ring."),
    METHOD("limit", read_limit, METH_VARARGS, "The bytes of a limit, and whether the oldest are overwritten: name, text."),
    METHOD("stop", stop, METH_NOARGS, "End the recording."), METHOD("flush", flush, METH_NOARGS, "Write to the disk what was recorded."),
    METHOD("pause", pause_recording, METH_O, "Record nothing for a while, or go on."), METHOD("is_on", is_on, METH_NOARGS, "Does it record now?"),
    METHOD("is_started", is_started, METH_NOARGS, "Is a recording under way, if only paused?"), METHOD("set_rank", set_rank, METH_VARARGS, "library, rank, size, spawned"),
    METHOD("now", now, METH_NOARGS, "CLOCK_MONOTONIC in ns."), METHOD("boot", boot, METH_NOARGS, "The kernel's boot id."),
    METHOD("clock", clock_told, METH_VARARGS, "peer, time, difference, bound"),
    METHOD("event_number", event_number, METH_NOARGS, "A new number for events, 0 if there is none left."),
    METHOD("describe_events", describe_events, METH_VARARGS, "start, end, name, color, format"), METHOD("log_event", log_event, METH_VARARGS, "event, data, text"),
    {NULL, NULL, 0, NULL}};

static PyObject *add_type(PyObject *module, PyType_Spec *spec, const char *name)
{
    PyObject *type = PyType_FromModuleAndSpec(module, spec, NULL);
    return type && !PyModule_AddObjectRef(module, name, type) ? type : NULL;
}

static int exec(PyObject *module)
{
    if (strcmp(mmpi_trace_version(), MMPI_VERSION)) {
        PyErr_Format(PyExc_ImportError, "this is MaroonMPI %s, but --trace-all of MaroonMPI %s has started this program: use the `mmpi` of its environment",
                     MMPI_VERSION, mmpi_trace_version());
        return -1;
    }
    PyObject *capsule = PyCapsule_New(&recorder, RECORDER, NULL), *mark;
    StateType = (PyTypeObject *)add_type(module, &state_spec, "State");
    ScopeType = (PyTypeObject *)add_type(module, &scope_spec, "Scope");
    mark = add_type(module, &mark_spec, "Mark");
    Py_XDECREF(mark);
    return !capsule || !StateType || !ScopeType || !mark || PyModule_AddObject(module, "recorder", capsule) ? -1 : 0;
}

static PyModuleDef_Slot slots[] = {SLOT(Py_mod_exec, exec), {0, NULL}};
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "mmpi._trace", NULL, 0, functions, slots, NULL, NULL, NULL};
PyMODINIT_FUNC PyInit__trace(void) { return PyModuleDef_Init(&definition); }
