/* What every file of the core shares.
 *
 * Ownership: functions borrow their arguments and return new references; a Frame owns what a call acquires.
 * Errors:    int functions return 0, or -1 with a Python exception set. */
#ifndef MMPI_CORE_H
#define MMPI_CORE_H
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>
#include <stddef.h>
#include <string.h>
#include "abi/abi.h"
#include "flight.h"

#pragma GCC diagnostic ignored "-Woverride-init"        /* NOTE overrides its own defaults, on purpose */

typedef struct Context Context;
typedef struct Request Request;
typedef struct Work Work;

/* --- a call, from its arguments to its end (args.c) ------------------------------------------------------- */

typedef struct {                        /* "buf, dest, tag=0", split at the first call */
    const char *name, *text;
    PyObject **names;
    Py_ssize_t total, required;
} Signature;

enum { FRAME_VIEWS = 4, FRAME_HELD = 8, FRAME_MEMORY = 10, FRAME_TYPES = 4 };      /* more than any call takes */

typedef struct Frame {                  /* never moves: a Py_buffer may point into itself */
    struct Frame *next;
    const Signature *signature;         /* of the method called: errors name it */
    int nviews, nheld, nmemory, ntypes;
    Py_buffer views[FRAME_VIEWS];
    PyObject *held[FRAME_HELD];         /* arrays that are read in place, callables, ... */
    void *memory[FRAME_MEMORY];         /* counts, displacements, handles: malloc */
    MPI_Datatype types[FRAME_TYPES];    /* derived for this call */
} Frame;

typedef int (*Converter)(Frame *, PyObject *, void *);

#define ARGS PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames
int parse(Signature *, Frame *, ARGS, ...);
#define PARSE(frame, ...) parse(signature, frame, args, nargs, kwnames, __VA_ARGS__, (Converter)NULL)
void open_frame(Frame *, const Signature *);
void close_frame(Frame *);
void release_objects(Frame *);          /* but keep the memory */
extern PyObject *MPIError;
PyObject *finish(Frame *, int rc);      /* lets the frame go; None, or raises */
PyObject *finish_with(Frame *, int rc, PyObject *result);       /* the same with a result; steals it */
PyObject *finish_heap(Frame *, int rc); /* finish, and the frame is one of new_frame */
int check(int rc);                      /* 0, or RAISED with the error of the code raised */
int blame(const Frame *, const char *argument);                 /* put method and argument before the error; RAISED */
int document(PyMethodDef *, const char *self);                  /* docstrings that inspect.signature reads */

Frame *new_frame(void);                 /* for calls that outlive themselves; from a free list */
void free_frame(Frame *);
Frame *evacuate(Frame *);               /* to the heap, from a stack that is about to go */
Py_buffer *take_view(Frame *, PyObject *, int flags);         /* NULL with what the exporter raised */
void *frame_memory(Frame *, size_t count, size_t size);         /* NULL with MemoryError */
int frame_hold(Frame *, PyObject *);
extern long live_frames, live_views;    /* 0 at exit, or something leaks */

/* METHOD(Comm, Send, "buf, dest, tag=0", "What it does.") { body }, and its ROW in the type's table.
 * CLASSMETHOD and FUNCTION (of the module) are the same without a self of the type. */
#define METHOD_(type, method, text, doc, selftype)                                                        \
    static PyObject *type##_##method##_body(selftype *, Signature *, ARGS);                               \
    static PyObject *type##_##method(PyObject *self, ARGS)                                                \
    {                                                                                                     \
        static Signature signature = {#method, text, NULL, 0, 0};                                         \
        return type##_##method##_body((selftype *)self, &signature, args, nargs, kwnames);                \
    }                                                                                                     \
    static const char type##_##method##_doc[] = #method "(" text ")\n" doc;                               \
    static PyObject *type##_##method##_body(selftype *self, Signature *signature, ARGS)
#define METHOD(type, method, text, doc) METHOD_(type, method, text, doc, type)
#define CLASSMETHOD(type, method, text, doc) METHOD_(type, method, text, doc, PyTypeObject)
#define FUNCTION(method, text, doc) METHOD_(module, method, text, doc, PyObject)
#define ROW_(type, method, flags)                                                                         \
    {#method, (PyCFunction)(void (*)(void))type##_##method, METH_FASTCALL | METH_KEYWORDS | flags, type##_##method##_doc}
#define ROW(type, method) ROW_(type, method, 0)
#define CLASSROW(type, method) ROW_(type, method, METH_CLASS)
/* the same without arguments */
#define METHOD0_(type, method, doc, selftype)                                                             \
    static PyObject *type##_##method##_body(selftype *);                                                  \
    static PyObject *type##_##method(PyObject *self, PyObject *unused)                                    \
    {                                                                                                     \
        (void)unused;                                                                                     \
        return type##_##method##_body((selftype *)self);                                                  \
    }                                                                                                     \
    static const char type##_##method##_doc[] = #method "()\n" doc;                                       \
    static PyObject *type##_##method##_body(selftype *self)
#define METHOD0(type, method, doc) METHOD0_(type, method, doc, type)
#define FUNCTION0(method, doc) METHOD0_(module, method, doc, PyObject)
#define ROW0(type, method) {#method, type##_##method, METH_NOARGS, type##_##method##_doc}
#define CLASS_OF(self) Py_TYPE((PyObject *)(self))
#define END_OF_ROWS {NULL, NULL, 0, NULL}

/* GETTER(Comm, rank, "What it is.") { return ...; } and its GETROW; self is a Comm * */
#define GETTER(type, name, doc)                                                                           \
    static PyObject *type##_get_##name##_body(type *);                                                    \
    static PyObject *type##_get_##name(PyObject *self, void *unused)                                      \
    {                                                                                                     \
        (void)unused;                                                                                     \
        return type##_get_##name##_body((type *)self);                                                    \
    }                                                                                                     \
    static const char type##_get_##name##_doc[] = doc;                                                    \
    static PyObject *type##_get_##name##_body(type *self)
#define GETROW(type, name) {#name, type##_get_##name, NULL, type##_get_##name##_doc, NULL}
#define GETSETROW(type, name, set) {#name, type##_get_##name, set, type##_get_##name##_doc, NULL}
#define END_OF_GETROWS {NULL, NULL, NULL, NULL, NULL}

#define SLOT(id, function) {id, (void *)(uintptr_t)(function)}      /* ISO C knows no function pointer in a void * */

/* --- the one door to MPI (flight.c, waiting.c) ------------------------------------------------------------ */

enum {                                  /* OP_MPI_Send, ...: what the flight record calls an operation */
#define MPI(type, name, parameters) OP_MPI_##name,
#include "abi/functions.h"
#undef MPI
    OPERATIONS
};

typedef struct {                        /* what the record says of a call */
    Context *comm;
    int peer, tag, root, requests;
    MPI_Count bytes, count;
    MPI_Datatype type;
    MPI_Op op;
    uint64_t request, collective;
} Note;
#define NOTE(...)                                                                                         \
    (&(const Note){.peer = NONE, .tag = NONE, .root = NONE, .bytes = -1, .count = -1, __VA_ARGS__})
#define ON(self) .comm = (self)->context                /* a call on a communicator */
#define ALL(self) ON(self), .collective = 1             /* a collective: it gets the next number there */
#define MOVES(b) .bytes = (b).bytes, .count = (b).count, .type = (b).type

typedef struct { PyThreadState *thread; Ring *ring; Call *call; uint64_t sequence; } Door;

int enter(Door *, int operation, const Note *);         /* into the record, then release the GIL; 0 or RAISED */
void leave(Door *, int rc, const MPI_Status *);         /* retake the GIL, out of the record */
int lacking(int operation);                             /* the loaded library has no such function */
int refuse(int operation);                              /* before init, after finalize, in a forked child */
enum { RAISED = -2147483647 - 1 };                      /* the rc that goes with a Python exception; no code of MPI's */
extern const char *const operation_names[];
extern const Call *failed_call;                         /* whose error finish() is about to raise */
extern void (*recorder_enter)(const Call *), (*recorder_leave)(const Call *);   /* set by tracing; GIL held */
uint64_t last_sequence(void);                           /* of this thread's latest call */

enum { NOT_STARTED, RUNNING, FINALIZED, FORKED };
extern volatile int mpi_state;
extern int large_counts;                                /* the library has the MPI_X_c functions */

enum { BLOCK, YIELD, IDLE };
extern int wait_policy;                                 /* how point-to-point and object calls wait */
extern volatile int nworks;             /* objects under way, which whoever waits must advance */
extern int typed_twins;                                 /* typed collectives go by their twins: asked for job-wide */
extern volatile int ending;                             /* the process ends: waiting threads let go */

enum { TO_SEND, TO_RECEIVE, TOGETHER, TO_WAIT };        /* what an interrupted wait must undo */
int by_twin(const Door *, MPI_Count bytes);             /* should this point-to-point call start its twin? */
int drive(Door *, Frame *, int rc, int kind, MPI_Request *, MPI_Status *, Context *);   /* test until done */
int cancel_receive(MPI_Request *, MPI_Status *);        /* and wait for its end; the GIL is held */
int poll_until(Door *, int (*test)(void *), void *);    /* the same loop for other tests: 1 done, 0 not, <0 failed */

#define THROUGH_(rc, note, function, call)                                                                \
    do {                                                                                                  \
        Door door_;                                                                                       \
        if (!(function)) { rc = lacking(OP_##function); break; }                                          \
        if ((rc = enter(&door_, OP_##function, note)) != 0) break;                                        \
        if (nworks) watch_over(OP_##function);                                                            \
        rc = call;                                                                                        \
        leave(&door_, rc, NULL);                                                                          \
    } while (0)
#define CALL(rc, note, function, ...) THROUGH_(rc, note, function, function(__VA_ARGS__))
#define CALL0(rc, note, function) THROUGH_(rc, note, function, function())

#define PICK_C(function, ...) (large_counts ? function##_c(__VA_ARGS__) : function(__VA_ARGS__))

/* MPI_X_c where the library has it */
#define CALL_C(rc, note, function, ...) THROUGH_(rc, note, function, PICK_C(function, __VA_ARGS__))

#define SEND_C(rc, frame, note, function, twin, nbytes, ...)    /* a blocking send and its nonblocking twin */ \
    do {                                                                                                  \
        Door door_; MPI_Request request_ = MPI_REQUEST_NULL;                                              \
        if ((rc = enter(&door_, OP_##function, note)) != 0) break;                                        \
        if (!by_twin(&door_, nbytes)) rc = PICK_C(function, __VA_ARGS__);                                 \
        else rc = drive(&door_, frame, PICK_C(twin, __VA_ARGS__, &request_), TO_SEND, &request_,          \
                        MPI_STATUS_IGNORE, NULL);                                                         \
        leave(&door_, rc, NULL);                                                                          \
    } while (0)

#define BY_TWIN_(rc, frame, note, kind, status, function, twin, ...)                                      \
    do {                                                                                                  \
        Door door_; MPI_Request request_ = MPI_REQUEST_NULL;                                              \
        if ((rc = enter(&door_, OP_##function, note)) != 0) break;                                        \
        rc = drive(&door_, frame, PICK_C(twin, __VA_ARGS__, &request_), kind, &request_, status, NULL);   \
        leave(&door_, rc, status);                                                                        \
    } while (0)
/* a receive: there is no bound on its wait, so it always goes by the twin */
#define RECEIVE_C(rc, frame, note, status, function, twin, ...)                                           \
    BY_TWIN_(rc, frame, note, TO_RECEIVE, status, function, twin, __VA_ARGS__)
/* the same for what cannot be cancelled: a matched message, an exchange */
#define EXCHANGE_C(rc, frame, note, status, function, twin, ...)                                          \
    BY_TWIN_(rc, frame, note, TO_SEND, status, function, twin, __VA_ARGS__)

#define TOGETHER_(rc, frame, note, self, function, call, start)                                           \
    do {                                                                                                  \
        Door door_; MPI_Request request_ = MPI_REQUEST_NULL;                                              \
        if (!(function)) { rc = lacking(OP_##function); break; }                                          \
        if ((rc = enter(&door_, OP_##function, note)) != 0) break;                                        \
        if (!typed_twins && nworks) watch_over(OP_##function);                                            \
        if (!typed_twins) rc = call;                                                                      \
        else rc = drive(&door_, frame, start, TOGETHER, &request_, MPI_STATUS_IGNORE, (self)->context);   \
        leave(&door_, rc, NULL);                                                                          \
    } while (0)
/* a typed collective: the function of its name, or, where the whole job asked for it, its twin */
#define COLLECT(rc, frame, note, self, function, twin, ...)                                               \
    TOGETHER_(rc, frame, note, self, function, function(__VA_ARGS__), twin(__VA_ARGS__, &request_))
#define COLLECT_C(rc, frame, note, self, function, twin, ...)                                             \
    TOGETHER_(rc, frame, note, self, function, PICK_C(function, __VA_ARGS__), PICK_C(twin, __VA_ARGS__, &request_))

/* neither progresses nor calls back: no record, no GIL release */
#define LOCAL(rc, function, ...)                                                                          \
    (rc = !(function) ? lacking(OP_##function) : mpi_state != RUNNING ? refuse(OP_##function) : function(__VA_ARGS__))
#define ANYTIME(rc, function, ...)                      /* the same, legal before init and after finalize */ \
    (rc = !(function) ? lacking(OP_##function) : function(__VA_ARGS__))

int open_flight(const char *folder);    /* before MPI_Init: map the page */
void describe_rank(int rank, int size);
const Head *flight_head(void);
void close_flight(void);                /* at the end: remove it */
void set_exit_status(int);
int threads_inside(char *names, size_t size);   /* threads in MPI that do not wait by a twin; listed in names */
int threads_waiting(void);              /* threads that still wait by a twin */

/* --- buffers (buffers.c) ---------------------------------------------------------------------------------- */

typedef struct {                        /* what MPI wants to know of a buffer */
    void *addr;
    MPI_Count count, bytes;
    MPI_Datatype type;
    void *counts, *displs;              /* v- and w-forms: int or MPI_Count and MPI_Aint, as large_counts says */
    MPI_Datatype *types;                /* w-forms */
} Buffer;

enum { TO_READ, TO_WRITE };
int to_buffer(Frame *, const char *argument, PyObject *, int access, int blocks, Buffer *);  /* one count, for `blocks` blocks */
int to_blocks(Frame *, const char *argument, PyObject *, int access, int blocks, Buffer *);  /* counts and displacements */
int to_wblocks(Frame *, const char *argument, PyObject *, int access, int blocks, Buffer *); /* and types */
int to_counts(Frame *, const char *argument, PyObject *, int blocks, Buffer *);      /* counts alone */
int peer_buffer(Frame *, const char *argument, PyObject *, int access, int peer, Buffer *);   /* PROC_NULL takes any */
int copy_buffer(Frame *, const Buffer *from, Buffer *to);
int is_in_place(PyObject *);             /* IN_PLACE, or None */
void no_buffer(Buffer *);
int same_layout(const Frame *, const Buffer *send, const Buffer *receive);
void prepare_elements(void);
void verify_elements(void);              /* after MPI_Init */
int prepare_places(PyObject *module);   /* BOTTOM, IN_PLACE */
int add_typedict(PyObject *module);
PyObject *memory_of(void *addr, Py_ssize_t bytes, int writable);            /* a memoryview */

/* What numpy.ndarray looks like: the layout behind NumPy's own macros. Nothing after type_num is read. */
typedef struct { PyObject_HEAD char *data; int nd; Py_ssize_t *shape, *strides; PyObject *base, *descr; int flags; } Array;
typedef struct { PyObject_HEAD PyObject *type; char kind, code, order, unused; int type_num; } Descr;
enum { ONE_SEGMENT = 1 | 2, ALIGNED = 0x100, WRITEABLE = 0x400 };
int is_array(PyObject *);               /* exactly numpy.ndarray, once somebody has imported it */

/* --- what an argument means: converters (args.c) ---------------------------------------------------------- */

int to_object(Frame *, PyObject *, void *);             /* as it is, borrowed */
int to_int(Frame *, PyObject *, void *);
int to_flag(Frame *, PyObject *, void *);               /* truth, as an int */
int to_count(Frame *, PyObject *, void *);              /* MPI_Count */
int to_aint(Frame *, PyObject *, void *);               /* MPI_Aint */
int to_text(Frame *, PyObject *, void *);               /* const char *, UTF-8, lives as long as the argument */
typedef struct { int *at; int count; } Ints;            /* a sequence of ints, in the frame's memory */
typedef struct { MPI_Aint *at; int count; } Aints;
int to_ints(Frame *, PyObject *, void *);
int to_aints(Frame *, PyObject *, void *);
int same_length(const Frame *, const char *what, long a, long b);
PyObject *from_ints(const int *, int count);            /* a list */

/* --- handle objects (handle.c) ---------------------------------------------------------------------------- */

/* The head of every handle object: what compiled users of mpi4py's C API expect. Our fields come after. */
#define HANDLE_HEAD(type) PyObject_HEAD type handle; unsigned flags; PyObject *weakrefs
typedef struct { HANDLE_HEAD(MPI_Comm); Context *context; } Comm;
typedef struct { HANDLE_HEAD(MPI_Group); } Group;
typedef struct { HANDLE_HEAD(MPI_Datatype); } Datatype;
typedef struct { HANDLE_HEAD(MPI_Op); PyObject *function; } Op;
typedef struct { HANDLE_HEAD(MPI_Info); } Info;
typedef struct { HANDLE_HEAD(MPI_Errhandler); } Errhandler;
typedef struct { HANDLE_HEAD(MPI_Message); PyObject *buf; Context *context; MPI_Comm comm; MPI_Status status; } Message;
typedef struct { HANDLE_HEAD(MPI_Status); } Status;
struct Request {
    HANDLE_HEAD(MPI_Request);
    PyObject *buf;
    Work *work;                         /* of what takes more than one call of MPI: handle is a generalized request then */
    Frame *frame;                       /* what the operation needs until it is done */
    uint64_t start;                     /* sequence of the call that started it */
};

extern PyTypeObject *CommType, *IntracommType, *IntercommType, *TopocommType, *CartcommType, *GroupType, *DatatypeType,
    *OpType, *InfoType, *ErrhandlerType, *MessageType, *StatusType, *RequestType;
enum { CONSTANT = 1 };                  /* flags: a predefined handle, made by us */
void *new_handle(PyTypeObject *, const void *handle);   /* an object of a handle type */
int add_type(PyObject *module, PyTypeObject **, PyType_Spec *, PyTypeObject *base, PyMethodDef *);
PyMethodDef *joined(PyMethodDef *const tables[]);       /* the methods of several files in one table */
int add_constant(PyObject *module, const char *name, PyTypeObject *, const void *handle);
#define HANDLE_SLOTS                                                                                      \
    SLOT(Py_tp_new, handle_new), SLOT(Py_tp_dealloc, handle_dealloc), SLOT(Py_tp_richcompare, handle_compare), \
    SLOT(Py_tp_hash, PyObject_HashNotImplemented), SLOT(Py_nb_bool, handle_bool), SLOT(Py_tp_repr, handle_repr), \
    {Py_tp_members, handle_members}
#define HANDLE_ROWS                                                                                       \
    {"fromhandle", handle_from, METH_O | METH_CLASS, "fromhandle(handle)\nMake an object from the MPI handle, an int."}, \
    {"tohandle", handle_to, METH_NOARGS, "tohandle()\nReturn the MPI handle as an int."},                 \
    {"__reduce__", handle_reduce, METH_NOARGS, NULL}
#define HANDLE_GETROW {"handle", handle_get, NULL, "The MPI handle, as an int.", NULL}
PyObject *handle_new(PyTypeObject *, PyObject *, PyObject *);
void handle_dealloc(PyObject *);
void free_object(PyObject *);            /* memory and type, after the fields were let go */
PyObject *handle_compare(PyObject *, PyObject *, int);
int handle_bool(PyObject *);
int handle_set_name(PyObject *, PyObject *, void *);    /* by the method Set_name */
PyObject *handle_repr(PyObject *);
PyObject *handle_from(PyObject *, PyObject *);
PyObject *handle_to(PyObject *, PyObject *);
PyObject *handle_get(PyObject *, void *);
PyObject *handle_reduce(PyObject *, PyObject *);
extern PyMemberDef handle_members[];

int to_comm(Frame *, PyObject *, void *);               /* Comm * */
int to_group(Frame *, PyObject *, void *);              /* MPI_Group */
int to_type(Frame *, PyObject *, void *);               /* MPI_Datatype; a Datatype or a type code */
int to_op(Frame *, PyObject *, void *);                 /* MPI_Op */
int to_info(Frame *, PyObject *, void *);               /* MPI_Info */
int to_status(Frame *, PyObject *, void *);             /* Status *; None leaves the target */
typedef struct { MPI_Datatype *at; int count; } Types;  /* a sequence of datatypes, in the frame's memory */
int to_types(Frame *, PyObject *, void *);
MPI_Datatype type_of_code(const char *code);            /* MPI_DATATYPE_NULL: no such type */

/* --- communicators (comm.c) ------------------------------------------------------------------------------- */

enum { SLOTS = 1024 };                  /* tags reserved at the top of the tag space, for pieces of large objects */
struct Context {                        /* what we know of a communicator; shared by all objects with its handle */
    uint64_t id;                        /* equal on all ranks; 0: made by somebody else */
    uint64_t collectives;               /* so far */
    unsigned children;                  /* communicators made of it so far */
    int references;
    int rank, size, remote_size;        /* remote_size: -1 unless it joins two groups */
    const char *broken;                 /* why no more collectives can run on it, or NULL */
    PyObject *serializer;               /* instead of MPI.pickle, or NULL */
    uint64_t exchanges;                 /* object collectives so far */
    PyObject *locks;                    /* a lock for each kind of them, for who asked, or NULL */
    MPI_Comm hidden;                    /* the duplicate on which they go on point-to-point, or COMM_NULL */
    MPI_Request making;                 /* ... while it is made */
    int pending;                        /* works that may need it */
    uint64_t slots[SLOTS / 64];         /* reserved tags in use by sends of ours */
};
enum { WORLD_ID = 1 };
extern uint64_t self_id;                /* the id of COMM_SELF, another on each rank */
PyObject *new_comm(MPI_Comm, Context *parent);          /* of the right class */
Comm *adopt_comm(PyTypeObject *, MPI_Comm, Context *parent);    /* the same of a given class */
void comm_dealloc(PyObject *);
void choose_errors(MPI_Errhandler, int keep);           /* what new communicators do with errors */
Comm *wrap_comm(PyTypeObject *, MPI_Comm);              /* an object for a communicator that exists */
int prepare_comm(PyObject *module);                     /* after MPI_Init: ids of WORLD and SELF */
void end_comms(void);                   /* before MPI_Finalize */
void drop_context(Context *);           /* with or without the GIL */
int usable(const Comm *);               /* has a context; else RAISED with what MPI says */
int adopt_errors(MPI_Comm);                             /* errors of this communicator are raised */

/* --- requests (request.c) --------------------------------------------------------------------------------- */

Request *new_request(Frame *);          /* owns the frame, also when it fails */
void share_request(Request *, const Request *);         /* a second object for the same operation */
PyObject *started(Request *, int rc);   /* the request of a nonblocking call, or raises */
void park(MPI_Request, Frame *);        /* let it go on without an owner */
int sweep(void);                        /* end what is done of the parked; how many are left */
void end_parked(int with_python);       /* before MPI_Finalize */

/* --- work under way (works.c) ----------------------------------------------------------------------------- */

/* What takes more than one call of MPI: a receive of any size, a send in pieces, a collective of objects. Whoever waits
 * in MPI advances all works that are listed, under one lock, without the GIL. */
struct Work {
    Work *next;
    size_t size;
    int (*advance)(Work *);             /* 1: done, rc says how */
    PyObject *(*result)(Work *);        /* what it brought, or NULL with an exception; the GIL is held */
    void (*release)(Work *);            /* what it holds; the GIL is held */
    int rc, listed, orphan, cancelled, nrequests, turns, together;      /* together: a collective */
    volatile int done;
    void *wake;                         /* condition variable of the thread that sleeps until it is done */
    MPI_Request *requests;              /* of MPI's, under way; memory of who made it */
    MPI_Request promise;                /* generalized request that its end completes */
    MPI_Status status;
    Context *context;
    PyObject *serializer;
};
extern Work *works;                     /* those that are listed, nworks of them */
void *new_work(size_t, Context *, int (*advance)(Work *), PyObject *(*result)(Work *), void (*release)(Work *));
void free_work(Work *);
void lock_works(void), unlock_works(void);      /* never with the GIL */
void list_work(Work *);                 /* from now on everybody advances it */
void advance_works(void);
int finish_work(Door *, Work *);        /* advance it until it is done; its rc, or RAISED */
int test_work(void *);                  /* for poll_until */
int settle_works(Door *, Context *);    /* before a communicator is freed: Open MPI crashes if collectives go on there */
void stop_leading(void);                /* after test_work, before this thread does something else */
PyObject *conclude(Work *, int rc, Status *);           /* the result, or the error; the work is taken back, or goes on alone */
PyObject *started_work(Request *, Door *, Work *, int rc, void (*drop)(Work *));       /* leave the door; the request of a work that began, or raises */
void leave_alone(Work *);               /* dropped before it was done: it ends alone */
extern volatile int ndead;              /* ended alone */
void sweep_works(void);                 /* release those */
void end_works(int with_python);        /* before MPI_Finalize */
int test_requests(Work *);              /* 1: all done, or rc says what is wrong */
void watch_over(int operation);         /* advance works now, and while a thread blocks in this */

/* --- objects on the wire (serialize.c) -------------------------------------------------------------------- */

enum { ROOM = 4096, WHOLE = 1 << 14, SLOT_ROOM = 250, CHUNK = 1 << 30 };
typedef struct { const void *addr; MPI_Count bytes; } Piece;    /* to send: where it lies */
typedef struct { char *data, *addr; MPI_Count bytes; } Part;    /* received; addr: the same, if it is ours to give away */
typedef struct { size_t whole, head, room; } Limits;    /* of one message, of a first message, of the caller's memory */
typedef struct {                        /* an object that is packed to travel */
    char *head;                         /* the first message */
    size_t bytes;
    Piece *pieces;                      /* what follows it */
    int npieces;
    MPI_Count total;
} Parcel;
typedef struct {                        /* an object to receive into, and what a message must be for that */
    PyObject *object;
    char kind, *skeleton;
    size_t bytes;
    char *addr;
    MPI_Count length;
} Place;
extern const Limits to_send, to_buffer_up, to_collect;
int pack(Frame *, PyObject *serializer, PyObject *, const Limits *, char *room, Parcel *);
PyObject *unpack(PyObject *serializer, const char *message, size_t bytes, Part *, int n);
int pieces_of(const char *message, size_t bytes, MPI_Count **lengths, int *slot);
void set_slot(Parcel *, int slot);
int to_place(Frame *, const char *argument, PyObject *, Place *);
const char *fits(const Place *, const char *message, size_t bytes);     /* where the bytes would be in the message, or NULL */
PyObject *put_in_place(PyObject *received, PyObject *place);    /* copies, or says what does not fit; steals the first */
char *get_memory(size_t bytes);
void give_memory(void *, size_t bytes);         /* back; kept for the next, or freed */
extern PyMethodDef serialize_functions[];
int prepare_serializer(PyObject *module);

/* --- objects between processes (objects_p2p.c, objects_collectives.c) ------------------------------------- */

typedef struct {                        /* one of each rank, to be combined in the order of ranks */
    void *item;                         /* this rank's; then the result */
    int bytes;                          /* at most those of a slot */
    MPI_Datatype type;
    MPI_Op op;
    void (*combine)(const void *left, void *right);     /* the same as op: the result is at the right */
} Items;
PyObject *combine_items(Comm *, const Items *, int operation, const Note *);   /* None */
int chunks_of(MPI_Count bytes);         /* messages that a piece of this length takes */
int messages_of(const Piece *, int n);  /* the same for n pieces */
int send_pieces(const Piece *, int n, int dest, int tag, MPI_Comm, MPI_Request *);      /* one request a message */
int receive_piece(const Part *, int source, int tag, MPI_Comm, MPI_Request *);
Part *new_parts(const MPI_Count *lengths, int n);       /* with memory; NULL without */
void free_parts(Part *, int n);
int find_message(Context *, MPI_Comm, int source, int tag, MPI_Message *, MPI_Status *, int *found);    /* that is no piece; NULL: only look */
int prepare_objects(void);              /* after MPI_Init */
void end_objects(void);                 /* before MPI_Finalize */
int check_objects(const Comm *, const char *method, int root);  /* can it do a collective of objects? An rc */
int to_function(const Frame *, PyObject **op);      /* an operation, or any callable; NULL becomes MPI.SUM, borrowed */
int prepare_reductions(void);
extern PyMethodDef object_p2p_methods[], object_message_methods[], object_collective_methods[], object_reduction_methods[],
    object_scan_methods[], object_functions[];

/* --- statuses, runtime ------------------------------------------------------------------------------------ */

int probe(Comm *, int operation, int wait, int matched, int source, int tag, MPI_Message *, MPI_Status *, int *found);
void now_is(Message *, MPI_Message);     /* after a receive */
void share_message(Message *, const Message *);
PyObject *matched(PyTypeObject *, Comm *, int wait, int source, int tag, Status *);    /* a Message, or None */
MPI_Count status_bytes(const MPI_Status *);
MPI_Status empty_status(void);
void set_status(Status *, const MPI_Status *);          /* NULL: nothing to do */

extern PyMethodDef runtime_functions[];
int add_comm_types(PyObject *), add_group_type(PyObject *), add_datatype_type(PyObject *), add_op_type(PyObject *),
    add_request_type(PyObject *), add_status_type(PyObject *), add_message_type(PyObject *), add_other_types(PyObject *);
extern PyMethodDef p2p_methods[], collective_methods[], scan_methods[], topology_methods[], topology_functions[];
int add_topology_types(PyObject *);
#endif
