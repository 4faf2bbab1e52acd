/* What every file of the core shares.
 *
 * Ownership: functions borrow their arguments and return new references; a Frame owns what a call acquires.
 * Errors:    int functions return 0, or -1 with a Python exception set. */
#ifndef MMPI_CORE_H
#define MMPI_CORE_H
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>
#include <pthread.h>
#include <stddef.h>
#include <string.h>
#include "abi/abi.h"
#include "flight.h"

#pragma GCC diagnostic ignored "-Woverride-init"        /* NOTE overrides its own defaults, on purpose */

typedef struct Context Context;
typedef struct Request Request;
typedef struct Work Work;

/* Breaks one thing, which a test must notice: `make mutants` builds with switches, chosen by MMPI_MUTANT (checks/mutants.py). */
#ifdef MMPI_MUTANTS
int mutant(const char *name);
#define MUTANT(name) mutant(#name)
#else
#define MUTANT(name) 0
#endif

/* --- a call, from its arguments to its end (args.c) ------------------------------------------------------- */

typedef struct {                        /* "buf, dest, tag=0", split at the first call */
    const char *name, *text;
    PyObject **names;
    Py_ssize_t total, required;
    int copies;                         /* the call is done with a buffer when it ends, so a copy may stand for it */
    int forwards;                       /* and has to where an array runs backwards: the library would crash */
} Signature;

enum { FRAME_VIEWS = 4, FRAME_HELD = 12, FRAME_MEMORY = 10, FRAME_TYPES = 6 };      /* more than any call takes */

typedef struct Frame {                  /* never moves: a Py_buffer may point into itself */
    struct Frame *next;
    const Signature *signature;         /* of the method called: errors name it */
    int nviews, nheld, nmemory, ntypes, peer;   /* peer: whom a one-sided operation reaches */
    Py_buffer views[FRAME_VIEWS];
    PyObject *held[FRAME_HELD];         /* arrays that are read in place, callables, ... */
    void *memory[FRAME_MEMORY];         /* counts, displacements, handles: malloc */
    MPI_Datatype types[FRAME_TYPES];    /* derived for this call */
    PyObject *copies;                   /* pairs of arrays and copies on the host, to be brought back */
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
int bring_back(Frame *);                /* copies on the host, into the arrays that they stand for */
PyObject *finish_heap(Frame *, int rc); /* finish, and the frame is one of new_frame */
int error_in_callback(void);             /* prints an exception; the code that MPI passes on */
void end_in_callback(const char *what); /* an exception that cannot be passed through MPI: prints it and ends the job */
PyObject *new_info(MPI_Info);           /* an Info that the object answers for */
int may_have_info(void);                /* MPI runs, or need not for an Info */
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
        static Signature signature = {#method, text, NULL, 0, 0, 0, 0};                                    \
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
#define ALIASROW(type, name, method) {#name, (PyCFunction)(void (*)(void))type##_##method, METH_FASTCALL | METH_KEYWORDS, type##_##method##_doc}
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
    static const char type##_get_##name##_doc[] = #name "\n" doc;                                         \
    static PyObject *type##_get_##name##_body(type *self)
#define GETROW(type, name) {#name, type##_get_##name, NULL, type##_get_##name##_doc, NULL}
#define GETSETROW(type, name, set) {#name, type##_get_##name, set, type##_get_##name##_doc, NULL}
#define SETROW(type, name, method) {#name, type##_get_##name, handle_set, type##_get_##name##_doc, (void *)(uintptr_t)#method}    /* set by a method */
#define END_OF_GETROWS {NULL, NULL, NULL, NULL, NULL}

#define SLOT(id, function) {id, (void *)(uintptr_t)(function)}      /* ISO C knows no function pointer in a void * */

/* --- the one door to MPI (flight.c, waiting.c) ------------------------------------------------------------ */

enum {                                  /* OP_MPI_Send, ...: what the flight record calls an operation */
#define MPI(type, name, parameters) OP_MPI_##name,
#include "abi/functions.h"
#undef MPI
#define MPIX(type, name, parameters) OP_MPIX_##name,
#include "abi/extensions.h"
#undef MPIX
    OPERATIONS
};

typedef struct {                        /* what the record says of a call */
    Context *comm;
    int peer, tag, root, requests, from, from_tag;     /* from: what an exchange receives */
    MPI_Count bytes, count;
    MPI_Datatype type;
    MPI_Op op;
    uint64_t request, collective;
    int form, copied;                   /* of the buffer */
} Note;
#define NOTE(...)                                                                                         \
    (&(const Note){.peer = NONE, .tag = NONE, .root = NONE, .from = NONE, .from_tag = NONE, .bytes = -1, .count = -1, __VA_ARGS__})
#define ON(self) .comm = (self)->context                /* a call on a communicator */
#define ALL(self) ON(self), .collective = 1             /* a collective: it gets the next number there */
#define MOVES(b) .bytes = (b).bytes, .count = (b).count, .type = (b).type, .form = (b).form, .copied = (b).copied

typedef struct { PyThreadState *thread; Ring *ring; Call *call; uint64_t sequence, record; } Door;

int enter(Door *, int operation, const Note *);         /* into the record, then release the GIL; 0 or RAISED */
void leave(Door *, int rc, const MPI_Status *);         /* retake the GIL, out of the record */
void leave_poll(Door *, int rc, const MPI_Status *, int found);         /* the same after a look that may be in vain */
extern int checking;                                    /* MMPI_CHECK: compare collectives before they run (checking.c) */
int check_collective(Door *, int operation, const Note *);      /* inside the door; after RAISED it was left */
void prepare_checking(void);
int lacking(int operation);                             /* the loaded library has no such function */
int refuse(int operation);                              /* before init, after finalize, in a forked child */
enum { RAISED = -2147483647 - 1 };                      /* the rc that goes with a Python exception; no code of MPI's */
extern const char *const operation_names[];
extern const Call *failed_call;                         /* whose error finish() is about to raise */
extern const Recorder *recorder;        /* while a tracer records, else NULL */
uint64_t last_record(void);             /* of the call that this thread left latest */
uint64_t last_sequence(void);                           /* of this thread's latest call */
int last_operation(void);
int64_t since_last(void);               /* ns since this thread's last call was entered */
Ring *this_ring(void);

enum { NOT_STARTED, RUNNING, FINALIZED, FORKED };
extern volatile int mpi_state;
extern int large_counts;                                /* the library has the MPI_X_c functions */

enum { BLOCK, YIELD, IDLE };
extern int wait_policy;                                 /* how point-to-point and object calls wait */
void set_patience(int);                                 /* of the calling thread, see waiting.c */
extern volatile int nworks;             /* objects under way, which whoever waits must advance */
extern int typed_twins;                                 /* typed collectives go by their twins: asked for job-wide */
extern volatile int ending;                             /* the process ends: waiting threads let go */
void hold_signals(void);                                /* from threads that start until they are let, see waiting.c */
void let_signals(void);
int start_thread(pthread_t *, void *(*function)(void *), void *argument);           /* without signals; an errno */

enum { TO_SEND, TO_RECEIVE, TOGETHER, TO_WAIT };        /* what an interrupted wait must undo */
int by_twin(const Door *, MPI_Count bytes);             /* should this point-to-point call start its twin? */
MPI_Count weight_of(const Context *, int dest, MPI_Count bytes);        /* for by_twin: bytes, or more than any library sends without a receive */
int drive(Door *, Frame *, int rc, int kind, MPI_Request *, MPI_Status *, Context *);   /* test until done */
int cancel_receive(MPI_Request *, MPI_Status *);        /* and wait for its end; the GIL is held */
int poll_until(Door *, int (*test)(void *), void *);    /* the same loop for other tests: 1 done, 0 not, <0 failed */

#define AROUND_(rc, note, function, call, leaving)                                                        \
    do {                                                                                                  \
        Door door_;                                                                                       \
        if (!(function)) { rc = lacking(OP_##function); break; }                                          \
        if ((rc = enter(&door_, OP_##function, note)) != 0) break;                                        \
        if (nworks) watch_over(OP_##function);                                                            \
        rc = call;                                                                                        \
        leaving;                                                                                          \
    } while (0)
#define THROUGH_(rc, note, function, call) AROUND_(rc, note, function, call, leave(&door_, rc, NULL))
#define CALL(rc, note, function, ...) THROUGH_(rc, note, function, function(__VA_ARGS__))
/* a call that is repeated until it finds something */
#define POLL(rc, note, found, function, ...) AROUND_(rc, note, function, function(__VA_ARGS__), leave_poll(&door_, rc, NULL, found))
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
/* A receive: there is no bound on its wait, so it always goes by the twin, but for one from nobody (in Open MPI, only MPI_Recv itself
   looks then whether the communicator was revoked). */
#define RECEIVE_C(rc, frame, note, status, function, twin, ...)                                           \
    do {                                                                                                  \
        const Note *note_ = note;                                                                         \
        if (note_->peer != MPI_PROC_NULL) BY_TWIN_(rc, frame, note_, TO_RECEIVE, status, function, twin, __VA_ARGS__); \
        else AROUND_(rc, note_, function, PICK_C(function, __VA_ARGS__, status), leave(&door_, rc, status));     \
    } while (0)
/* the same for what cannot be cancelled: a matched message, an exchange */
#define EXCHANGE_C(rc, frame, note, status, function, twin, ...)                                          \
    BY_TWIN_(rc, frame, note, TO_SEND, status, function, twin, __VA_ARGS__)
/* and for a synchronous send, however short */
#define SYNCHRONOUS_C(rc, frame, note, function, twin, nbytes, ...)                                       \
    BY_TWIN_(rc, frame, note, TO_SEND, MPI_STATUS_IGNORE, function, twin, __VA_ARGS__)

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
#define LOCAL_C(rc, function, ...) (large_counts ? LOCAL(rc, function##_c, __VA_ARGS__) : LOCAL(rc, function, __VA_ARGS__))
#define ANYTIME(rc, function, ...)                      /* the same, legal before init and after finalize */ \
    (rc = !(function) ? lacking(OP_##function) : function(__VA_ARGS__))

int open_flight(const char *folder);    /* before MPI_Init: map the page */
void describe_rank(int rank, int size);
void record_finalize(void);             /* the process is in MPI_Finalize, without the interpreter */
void note_finalized(void);
Known *new_known(void);                 /* a place for a communicator, or NULL; with or without the GIL */
const Head *flight_head(void);
void close_flight(void);                /* at the end: remove it */
void release_flight(void);              /* in a child: it is its parent's */
void set_exit_status(int);
void ask_others(void);                  /* before MPI_Abort: where in Python they are */
int threads_inside(char *names, size_t size);   /* threads in MPI that do not wait by a twin; listed in names */
int threads_blocked(void);              /* those of them in calls that may wait */
int threads_waiting(void);              /* threads that still wait by a twin */

/* --- buffers (buffers.c) ---------------------------------------------------------------------------------- */

typedef struct {                        /* what MPI wants to know of a buffer */
    void *addr;
    MPI_Count count, bytes;
    MPI_Datatype type;
    MPI_Count items;                    /* large, and the library counts with ints: so many of `item`; type is all of them */
    MPI_Datatype item;
    int form;                           /* NUMBER, or what a reduction cannot take */
    int copied;                         /* it stands for memory that MPI cannot reach */
    void *counts, *displs;              /* v- and w-forms: int or MPI_Count and MPI_Aint, as large_counts says */
    MPI_Datatype *types;                /* w-forms */
} Buffer;

enum { TO_READ, TO_WRITE, TO_LOCATE };   /* locate: only say where it is, on a device, too */
enum { NUMBER, OPAQUE, GAPS };           /* items that MPI knows; that it only moves; an array that is not in one piece */
int to_buffer(Frame *, const char *argument, PyObject *, int access, int blocks, Buffer *);  /* one count, for `blocks` blocks */
int to_blocks(Frame *, const char *argument, PyObject *, int access, int blocks, Buffer *);  /* counts and displacements */
int to_wblocks(Frame *, const char *argument, PyObject *, int access, int blocks, Buffer *); /* and types */
int to_placed_wblocks(Frame *, const char *argument, PyObject *, int access, int blocks, Buffer *);  /* displacements are addresses, whatever counts are */
int to_counts(Frame *, const char *argument, PyObject *, int blocks, Buffer *);      /* counts alone */
int peer_buffer(Frame *, const char *argument, PyObject *, int access, int peer, Buffer *);   /* PROC_NULL takes any */
int copy_buffer(Frame *, const Buffer *from, Buffer *to);
int to_memory(Frame *, const char *argument, PyObject *, int access, void **addr, MPI_Count *bytes);     /* in one piece */
int fit_count(Frame *, Buffer *);        /* one item of a larger type, where MPI counts with ints */
int items_in(MPI_Count bytes, MPI_Datatype, MPI_Count *count);          /* as many as fit */
int is_in_place(PyObject *);            /* IN_PLACE, or None (places.c) */
int is_bottom(PyObject *);
int is_automatic(PyObject *);            /* BUFFER_AUTOMATIC, or None */
void no_buffer(Buffer *);
int locate(Frame *, PyObject *, void **addr, Py_ssize_t *bytes, int *on_host);     /* of an object without the buffer protocol */
int same_layout(const Frame *, const Buffer *send, const Buffer *receive);
void prepare_elements(void);
void verify_elements(void);              /* after MPI_Init */
int is_place(PyObject *);               /* any of these */
int prepare_places(PyObject *module);
int prepare_types(PyObject *module);    /* the type codes */
PyObject *memory_of(void *addr, Py_ssize_t bytes, int writable);            /* an MPI.buffer (memory.c) */
int is_memory(PyObject *);
int end_memory(PyObject *);              /* whose memory is about to go; BufferError if somebody still uses it */

/* What numpy.ndarray looks like: the layout behind NumPy's own macros. Nothing after type_num is read. */
typedef struct { PyObject_HEAD char *data; int nd; Py_ssize_t *shape, *strides; PyObject *base, *descr; int flags; } Array;
typedef struct { PyObject_HEAD PyObject *type; char kind, code, order, unused; int type_num; } Descr;
enum { ONE_SEGMENT = 1 | 2, ALIGNED = 0x100, WRITEABLE = 0x400 };
typedef struct { const char *module, *name; PyObject *key; PyTypeObject *class; } Imported;
PyTypeObject *class_of(Imported *);     /* a class of a module that we do not import: NULL until somebody has */
int is_array(PyObject *);               /* exactly numpy.ndarray, once somebody has imported it */
int is_array_array(PyObject *);         /* exactly array.array */

/* --- what an argument means: converters (args.c) ---------------------------------------------------------- */

int to_object(Frame *, PyObject *, void *);             /* as it is, borrowed */
int to_int(Frame *, PyObject *, void *);
int to_flag(Frame *, PyObject *, void *);               /* truth, as an int */
int to_count(Frame *, PyObject *, void *);              /* MPI_Count */
int to_aint(Frame *, PyObject *, void *);               /* MPI_Aint */
int to_text(Frame *, PyObject *, void *);               /* const char *, UTF-8, lives as long as the argument */
typedef struct { int *at; int count; } Ints;            /* a sequence of ints, in the frame's memory */
typedef struct { void *at; int count; } Sizes;          /* the same of int or MPI_Count, as large_counts says, or of MPI_Aint */
int to_ints(Frame *, PyObject *, void *);
int to_size(Frame *, PyObject *, void *);               /* MPI_Count that the library can take */
int to_sizes(Frame *, PyObject *, void *);
int to_aints(Frame *, PyObject *, void *);              /* Sizes, of MPI_Aint */
int same_length(const Frame *, const char *what, long a, long b);
PyObject *from_ints(const int *, int count);            /* a list */

/* --- handle objects (handle.c) ---------------------------------------------------------------------------- */

/* The head of every handle object: what compiled users of mpi4py's C API expect. Our fields come after. */
#define HANDLE_HEAD(type) PyObject_HEAD type handle; unsigned flags; PyObject *weakrefs
/* of what a process frees by itself: objects free it when they go away, unless they gave the handle away */
#define LOCAL_HEAD(type) HANDLE_HEAD(type); PyObject *origin    /* the object that this one was made of: Group(other), or NULL */
typedef struct { HANDLE_HEAD(MPI_Comm); Context *context; uint64_t id; } Comm;          /* id: of the context it gets when its making has ended */
typedef struct { LOCAL_HEAD(MPI_Group); } Group;
typedef struct { LOCAL_HEAD(MPI_Datatype); } Datatype;
typedef struct { LOCAL_HEAD(MPI_Op); PyObject *function; int slot; } Op;      /* slot: -1 if the function is one of C */
typedef struct { LOCAL_HEAD(MPI_Info); } Info;
typedef struct { LOCAL_HEAD(MPI_Errhandler); } Errhandler;
typedef struct { HANDLE_HEAD(MPI_Message); PyObject *buf; Context *context; MPI_Comm comm; MPI_Status status; uint64_t record; } Message;    /* record: of the probe that took it */
typedef struct { HANDLE_HEAD(MPI_Status); } Status;
typedef struct { HANDLE_HEAD(MPI_Session); } Session;
typedef struct { HANDLE_HEAD(MPI_Win); PyObject *memory; Context *context; Frame *pending; } Win;    /* memory: a dict, of what others reach into */
typedef struct { HANDLE_HEAD(MPI_File); PyObject *name; Context *context; Frame *split; } File;      /* split: of a split collective */
struct Request {
    HANDLE_HEAD(MPI_Request);
    PyObject *buf;                      /* the communicator that it makes, or the object of Grequest.complete */
    Work *work;                         /* of what takes more than one call of MPI: handle is a generalized request then */
    Frame *frame;                       /* what the operation needs until it is done */
    uint64_t start;                     /* sequence of the call that started it */
    uint64_t record, prepared;          /* of the same call, until it is done, and of that which prepared it; 0: none */
    Request *origin;                    /* of which it is a copy, or NULL */
};

extern PyTypeObject *CommType, *IntracommType, *IntercommType, *TopocommType, *CartcommType, *GraphcommType, *DistgraphcommType,
    *GroupType, *DatatypeType, *OpType, *InfoType, *ErrhandlerType, *MessageType, *StatusType, *RequestType, *PrequestType, *GrequestType, *SessionType, *WinType, *FileType;
enum { CONSTANT = 1, OWNED = 2, MAKES = 4, ACCESSES = 8 };
/* flags: a predefined handle, made by us; to be freed when the object goes away; of requests: it makes a communicator, it is one-sided */
void *new_handle(PyTypeObject *, const void *handle);   /* an object for a handle that somebody else answers for */
void *new_owned(PyTypeObject *, const void *handle);    /* the object of a type with LOCAL_HEAD answers for it */
void disown(PyObject *);                /* it was freed, or somebody else answers for it now */
void give_away(PyObject *);             /* its handle becomes known outside */
int add_capi(PyObject *module);         /* capi.c */
int is_predefined(PyObject *);          /* the handle is one of MPI's constants, null included */

typedef struct {                        /* what the shared code has to know of a handle type */
    PyTypeObject **type;
    uintptr_t null;
    size_t size;                        /* of a handle: MPICH's files are wider than all others */
    const char *free;                   /* the method that frees it: free() and `with` call it; NULL: nothing is to be freed */
    int (*release)(void *handle);       /* frees it when an object with LOCAL_HEAD goes away; NULL: never */
    int (*to_integer)(uintptr_t);       /* as C and Fortran know it */
    uintptr_t (*from_integer)(int);
} Kind;
#define KIND(class, null, free, release) (Kind){&class##Type, (uintptr_t)null, sizeof null, free, release, class##_to_integer, class##_from_integer}
#define CONVERSIONS(class) int class##_to_integer(uintptr_t); uintptr_t class##_from_integer(int)
CONVERSIONS(Comm); CONVERSIONS(Group); CONVERSIONS(Datatype); CONVERSIONS(Op); CONVERSIONS(Info); CONVERSIONS(Errhandler); CONVERSIONS(Message);
CONVERSIONS(Request); CONVERSIONS(Win); CONVERSIONS(File); CONVERSIONS(Session);
int add_handle_type(PyObject *module, Kind, PyType_Spec *, PyMethodDef *);
int add_type(PyObject *module, PyTypeObject **, PyType_Spec *, PyTypeObject *base, PyMethodDef *);
PyMethodDef *joined(PyMethodDef *const tables[]);       /* the methods of several files in one table */
int add_constant(PyObject *module, const char *name, PyTypeObject *, const void *handle);
#define HANDLE_SLOTS_(members)                                                                            \
    SLOT(Py_tp_new, handle_new), SLOT(Py_tp_dealloc, handle_dealloc), SLOT(Py_tp_richcompare, handle_compare), \
    SLOT(Py_tp_hash, PyObject_HashNotImplemented), SLOT(Py_nb_bool, handle_bool), SLOT(Py_tp_repr, handle_repr), \
    {Py_tp_members, members}
#define HANDLE_SLOTS HANDLE_SLOTS_(handle_members)
#define FILE_SLOTS HANDLE_SLOTS_(file_members)          /* of MPI_File, with its own size */
#define HANDLE_ROWS                                                                                       \
    {"fromhandle", handle_from, METH_O | METH_CLASS, "fromhandle(handle)\nMake an object from the MPI handle, an int."}, \
    {"tohandle", handle_to, METH_NOARGS, "tohandle()\nReturn the MPI handle as an int."},                 \
    {"fromint", handle_from_integer, METH_O | METH_CLASS, "fromint(arg)\nMake an object from the integer that MPI knows it by."}, \
    {"toint", handle_to_integer, METH_NOARGS, "toint()\nReturn the integer that MPI knows it by."},       \
    {"f2py", handle_from_integer, METH_O | METH_CLASS, "f2py(arg)\nMake an object from a Fortran handle, an INTEGER."}, \
    {"py2f", handle_to_integer, METH_NOARGS, "py2f()\nReturn the Fortran handle, an INTEGER."},           \
    {"free", handle_free, METH_NOARGS, "free()\nFree it, if it is neither null nor predefined."},         \
    {"__enter__", handle_enter, METH_NOARGS, NULL}, {"__exit__", handle_exit, METH_VARARGS, NULL}, {"__reduce__", handle_reduce, METH_NOARGS, NULL}
#define HANDLE_GETROW {"handle", handle_get, NULL, "handle\nThe MPI handle, as an int.", NULL}
PyObject *handle_new(PyTypeObject *, PyObject *, PyObject *);
void handle_dealloc(PyObject *);
void free_object(PyObject *);            /* memory and type, after the fields were let go */
PyObject *handle_compare(PyObject *, PyObject *, int);
int handle_bool(PyObject *);
int handle_set(PyObject *, PyObject *, void *method);
PyObject *handle_repr(PyObject *);
PyObject *handle_from(PyObject *, PyObject *);
PyObject *handle_to(PyObject *, PyObject *);
PyObject *handle_get(PyObject *, void *);
PyObject *handle_free(PyObject *, PyObject *);
PyObject *handle_to_integer(PyObject *, PyObject *);
PyObject *handle_from_integer(PyObject *, PyObject *);
PyObject *handle_enter(PyObject *, PyObject *);
PyObject *handle_exit(PyObject *, PyObject *);
PyObject *handle_reduce(PyObject *, PyObject *);
extern PyMemberDef handle_members[], file_members[];

extern int debugging;                   /* MMPI_DEBUG: say at the end what nobody freed (mmpi/leaks.py) */
void *watched(void *object);               /* it has to be freed by hand; the object as it is */
void report_leaks(int dropped, Py_ssize_t allocated);

int to_comm(Frame *, PyObject *, void *);               /* Comm * */
int to_group(Frame *, PyObject *, void *);              /* MPI_Group */
int to_type(Frame *, PyObject *, void *);               /* MPI_Datatype; a Datatype or a type code */
int to_op(Frame *, PyObject *, void *);                 /* MPI_Op */
int reducible(const Frame *, const char *argument, const Buffer *, MPI_Op);     /* can the operation take it? Else RAISED */
int to_info(Frame *, PyObject *, void *);               /* MPI_Info */
int to_status(Frame *, PyObject *, void *);             /* Status *; None leaves the target */
int to_errhandler(Frame *, PyObject *, void *);         /* MPI_Errhandler */
typedef struct { MPI_Datatype *at; int count; } Types;  /* a sequence of datatypes, in the frame's memory */
int to_types(Frame *, PyObject *, void *);
PyObject *type_of_code(PyObject *code);                 /* borrowed; NULL without an exception: no such type */
int long_type(MPI_Count count, MPI_Datatype, MPI_Datatype *new);        /* of more items than an int counts */
int size_of_type(MPI_Datatype, MPI_Count *size);                         /* an rc */
extern PyMethodDef pack_methods[];

/* --- communicators (comm.c) ------------------------------------------------------------------------------- */

enum { SLOTS = 1024 };                  /* tags reserved at the top of the tag space, for pieces of large objects */
struct Context {                        /* what we know of a communicator; shared by all objects with its handle */
    uint64_t id;                        /* equal on all ranks; 0: made by somebody else */
    Known *known, own;                  /* what others may read of it; own, unless there is a place in the record */
    unsigned children;                  /* communicators made of it so far */
    int references;
    int rank, size, remote_size;        /* remote_size: -1 unless it joins two groups */
    const char *broken;                 /* why no more collectives can run on it, or NULL */
    PyObject *serializer;               /* instead of MPI.pickle, or NULL */
    uint64_t exchanges;                 /* object collectives so far */
    PyObject *locks;                    /* a lock for each kind of them, for who asked, or NULL */
    MPI_Comm handle, checker;           /* checker: the duplicate on which MMPI_CHECK asks, or COMM_NULL */
    MPI_Comm hidden;                    /* the duplicate on which they go on point-to-point, or COMM_NULL; of two groups, what joins them */
    int place;                          /* the rank there */
    MPI_Request making;                 /* ... while it is made */
    int pending;                        /* works that may need it */
    uint64_t slots[SLOTS / 64];         /* reserved tags in use by sends of ours */
};
enum { WORLD_ID = 1, PARENT_ID = 3 };    /* 2 is that of arrows made by hand (recorder.c); PARENT_ID: what joins us with those who spawned us. Others are hashes */
extern uint64_t self_id;                /* the id of COMM_SELF, another on each rank */
extern Context *self_context;
PyObject *new_comm(MPI_Comm, Context *parent);          /* of the right class */
PyObject *hidden_comm(Context *);
void describe_context(Context *);       /* every new context: what the record says of it */
Comm *adopt_comm(PyTypeObject *, MPI_Comm, Context *parent);    /* the same of a given class */
void comm_dealloc(PyObject *);
void choose_errors(MPI_Errhandler, int keep);           /* what new communicators do with errors */
PyTypeObject *class_of_comm(MPI_Comm);
uint64_t mix(uint64_t, uint64_t);        /* a hash of two numbers, of which ids are made */
#define NOTHING_MIXED UINT64_C(14695981039346656037)
uint64_t mix_group(uint64_t, MPI_Group, MPI_Group all, int *strangers);
uint64_t count_made(uint64_t);
uint64_t id_of_group(MPI_Comm, uint64_t what);          /* on which its members agree: of what they all know, of who they are, of how many were made so before; 0: none */
void identify(Context *, uint64_t id, int leader);
Comm *wrap_comm(PyTypeObject *, MPI_Comm);              /* an object for a communicator that exists; TypeError if it is none of this class */
int prepare_comm(PyObject *module);                     /* after MPI_Init: ids of WORLD and SELF */
void end_comms(void);                   /* before MPI_Finalize */
int prepare_key(void);                  /* when MPI runs: the attribute for contexts */
void end_key(void);
void drop_context(Context *);           /* with or without the GIL */
Context *share_context(Context *);      /* a new reference; NULL stays NULL */
Context *derived_context(Context *, const char *name);     /* of what its processes made together: a window, a file; NULL without memory */
void name_context(Context *, const char *name); /* as the record calls it */
int usable(Comm *);                     /* has a context; else RAISED with what MPI says */
PyObject *seen_comm(const void *handle);                /* as a callback of MPI's sees it */
void finish_comm(Comm *);               /* its nonblocking making has ended */
int adopt_errors(MPI_Comm);                             /* errors of this communicator are raised */
int errors_of_new(MPI_Errhandler *);                    /* what windows and files do with errors, unless that stays as it is: 0 */

/* --- attributes (attributes.c) and error handlers (errhandler.c) ------------------------------------------ */

typedef PyObject *(*Seen)(const void *handle);          /* makes the object that a callback sees */
typedef struct Keyval Keyval;
Keyval *new_keyval(PyTypeObject *, Signature *, Frame *, int **number, ARGS);   /* NULL with an exception */
PyObject *made_keyval(Frame *, Keyval *, int rc);
void freed_keyval(PyTypeObject *, int number);
int hold_attribute(PyTypeObject *, int number, PyObject *, void **value);       /* the object as MPI keeps it */
void lose_attribute(PyTypeObject *, int number, void *value);
PyObject *attribute_of(PyTypeObject *, int number, void *value);
int copy_attribute(Keyval *, Seen, const void *handle, void *value, void **copy, int *flag);
int drop_attribute(Keyval *, Seen, const void *handle, void *value);

/* ATTRIBUTES(Datatype, Type, seen): the methods of a class for MPI_Type_set_attr and the like, and their ATTRIBUTE_ROWS */
#define ATTRIBUTES(class, prefix, seen)                                                                   \
    static int class##_copy_attr(MPI_##class handle, int number, void *keyval, void *value, void *copy, int *flag) \
    {                                                                                                     \
        (void)number;                                                                                     \
        return copy_attribute(keyval, seen, &handle, value, copy, flag);                                  \
    }                                                                                                     \
    static int class##_drop_attr(MPI_##class handle, int number, void *value, void *keyval)               \
    {                                                                                                     \
        (void)number;                                                                                     \
        return drop_attribute(keyval, seen, &handle, value);                                              \
    }                                                                                                     \
    CLASSMETHOD(class, Create_keyval, "copy_fn=None, delete_fn=None, nopython=False",                     \
                "A key for attributes. copy_fn(object, keyval, value) returns the value for a duplicate, NotImplemented for none; True copies it. " \
                "delete_fn(object, keyval, value) is called at the end. With nopython, values are addresses.") \
    {                                                                                                     \
        Frame frame; int *number, rc = RAISED;                                                            \
        Keyval *k = new_keyval(class##Type, signature, &frame, &number, args, nargs, kwnames);            \
        (void)self;                                                                                       \
        if (k) CALL(rc, NOTE(.comm = NULL), MPI_##prefix##_create_keyval, class##_copy_attr, class##_drop_attr, number, k); \
        return made_keyval(&frame, k, rc);                                                                \
    }                                                                                                     \
    CLASSMETHOD(class, Free_keyval, "keyval", "Free a key; attributes that have it stay. Returns KEYVAL_INVALID.") \
    {                                                                                                     \
        Frame frame; int number;                                                                          \
        int rc = PARSE(&frame, to_int, &number), old = number;                                            \
        (void)self;                                                                                       \
        if (!rc) CALL(rc, NOTE(.comm = NULL), MPI_##prefix##_free_keyval, &number);                       \
        if (!rc) freed_keyval(class##Type, old);                                                          \
        return finish_with(&frame, rc, PyLong_FromLong(number));                                          \
    }                                                                                                     \
    METHOD(class, Get_attr, "keyval", "The attribute of a key, or None.")                                 \
    {                                                                                                     \
        Frame frame; int number, found = 0; void *value = NULL;                                           \
        int rc = PARSE(&frame, to_int, &number);                                                          \
        if (!rc) CALL(rc, NOTE(.comm = NULL), MPI_##prefix##_get_attr, self->handle, number, &value, &found); \
        return finish_with(&frame, rc, rc ? NULL : found ? attribute_of(class##Type, number, value) : Py_NewRef(Py_None)); \
    }                                                                                                     \
    METHOD(class, Set_attr, "keyval, attrval", "Set the attribute of a key.")                             \
    {                                                                                                     \
        Frame frame; int number; PyObject *object; void *value = NULL;                                    \
        int rc = PARSE(&frame, to_int, &number, to_object, &object) || hold_attribute(class##Type, number, object, &value) ? RAISED : 0; \
        if (rc) return finish(&frame, rc);                                                                \
        CALL(rc, NOTE(.comm = NULL), MPI_##prefix##_set_attr, self->handle, number, value);               \
        if (rc) lose_attribute(class##Type, number, value);                                               \
        return finish(&frame, rc);                                                                        \
    }                                                                                                     \
    METHOD(class, Delete_attr, "keyval", "Delete the attribute of a key.")                                \
    {                                                                                                     \
        Frame frame; int number;                                                                          \
        int rc = PARSE(&frame, to_int, &number);                                                          \
        if (!rc) CALL(rc, NOTE(.comm = NULL), MPI_##prefix##_delete_attr, self->handle, number);          \
        return finish(&frame, rc);                                                                        \
    }
#define ATTRIBUTE_ROWS(class)                                                                             \
    CLASSROW(class, Create_keyval), CLASSROW(class, Free_keyval), ROW(class, Get_attr), ROW(class, Set_attr), ROW(class, Delete_attr)

enum { OF_COMM, OF_WIN, OF_FILE, OF_SESSION, HANDLERS = 32 };   /* functions as error handlers, of one class at a time */
#define OF_Comm OF_COMM
#define OF_Win OF_WIN
#define OF_File OF_FILE
#define OF_Session OF_SESSION
extern MPI_Comm_errhandler_function *const Comm_handlers[HANDLERS];
extern MPI_Win_errhandler_function *const Win_handlers[HANDLERS];
extern MPI_File_errhandler_function *const File_handlers[HANDLERS];
extern MPI_Session_errhandler_function *const Session_handlers[HANDLERS];
int new_handler(int class, PyObject *function, Seen);   /* its number, or RAISED */
PyObject *made_errhandler(Frame *, int class, int which, int rc, MPI_Errhandler);

/* ERRHANDLERS(Win, seen): the methods of a class, and their ERRHANDLER_ROWS */
#define ERRHANDLERS(class, seen)                                                                          \
    CLASSMETHOD(class, Create_errhandler, "errhandler_fn", "An error handler that calls errhandler_fn(object, errorcode).") \
    {                                                                                                     \
        Frame frame; PyObject *function; MPI_Errhandler new = MPI_ERRHANDLER_NULL; int which = -1;        \
        int rc = PARSE(&frame, to_object, &function);                                                     \
        (void)self;                                                                                       \
        if (!rc && (which = new_handler(OF_##class, function, seen)) < 0) rc = which;                     \
        if (!rc) CALL(rc, NOTE(.comm = NULL), MPI_##class##_create_errhandler, class##_handlers[which], &new); \
        return made_errhandler(&frame, OF_##class, which, rc, new);                                       \
    }                                                                                                     \
    METHOD0(class, Get_errhandler, "What happens when a call on it fails.")                               \
    {                                                                                                     \
        MPI_Errhandler handler; int rc;                                                                   \
        CALL(rc, NOTE(.comm = NULL), MPI_##class##_get_errhandler, self->handle, &handler);               \
        return rc ? finish(NULL, rc) : new_owned(ErrhandlerType, &handler);                               \
    }                                                                                                     \
    METHOD(class, Set_errhandler, "errhandler", "Say what happens when a call on it fails.")              \
    {                                                                                                     \
        Frame frame; MPI_Errhandler handler;                                                              \
        int rc = PARSE(&frame, to_errhandler, &handler);                                                  \
        if (!rc) CALL(rc, NOTE(.comm = NULL), MPI_##class##_set_errhandler, self->handle, handler);       \
        return finish(&frame, rc);                                                                        \
    }                                                                                                     \
    METHOD(class, Call_errhandler, "errorcode", "Do what happens when a call fails with this code.")      \
    {                                                                                                     \
        Frame frame; int code;                                                                            \
        int rc = PARSE(&frame, to_int, &code);                                                            \
        if (!rc) CALL(rc, NOTE(.comm = NULL), MPI_##class##_call_errhandler, self->handle, code);         \
        return finish(&frame, rc);                                                                        \
    }
#define ERRHANDLER_ROWS(class) CLASSROW(class, Create_errhandler), ROW0(class, Get_errhandler), ROW(class, Set_errhandler), ROW(class, Call_errhandler)

/* --- buffers for buffered sends (attached.c) -------------------------------------------------------------- */

typedef struct Attached Attached;
enum { OF_PROCESS = -1 };
int attach(Signature *, Frame *, int kind, uintptr_t owner, Buffer *, ARGS);    /* an rc; what MPI shall be given */
PyObject *attached(Frame *, int kind, uintptr_t owner, int rc);
int is_attached(int kind, uintptr_t owner);
void drop_buffer(int kind, uintptr_t owner);    /* MPI is done with it, if there is one */
PyObject *detached(int kind, uintptr_t owner, int rc);  /* the object that was attached */

/* BUFFER_METHODS(Session): the methods of a class, and their BUFFER_ROWS */
#define BUFFER_METHODS(class)                                                                             \
    METHOD(class, Attach_buffer, "buf", "Give MPI a buffer for buffered sends here; it belongs to MPI until Detach_buffer. BUFFER_AUTOMATIC or None: MPI takes memory as it needs it.") \
    {                                                                                                     \
        Frame frame; Buffer b; uintptr_t owner = (uintptr_t)self->handle;                                 \
        int rc = MPI_##class##_attach_buffer ? attach(signature, &frame, OF_##class, owner, &b, args, nargs, kwnames) : lacking(OP_MPI_##class##_attach_buffer); \
        if (rc) return MPI_##class##_attach_buffer ? finish(&frame, rc) : NULL;                           \
        CALL_C(rc, NOTE(.bytes = b.bytes), MPI_##class##_attach_buffer, self->handle, b.addr, b.bytes);   \
        return attached(&frame, OF_##class, owner, rc);                                                   \
    }                                                                                                     \
    METHOD0(class, Detach_buffer, "Wait until all buffered messages from here are sent; return the buffer, None if there is none.") \
    {                                                                                                     \
        void *base; MPI_Count large; int size, rc;                                                        \
        if (!is_attached(OF_##class, (uintptr_t)self->handle) && MPI_##class##_detach_buffer) Py_RETURN_NONE; \
        if (large_counts) CALL(rc, NOTE(.comm = NULL), MPI_##class##_detach_buffer_c, self->handle, &base, &large); \
        else CALL(rc, NOTE(.comm = NULL), MPI_##class##_detach_buffer, self->handle, &base, &size);       \
        return detached(OF_##class, (uintptr_t)self->handle, rc);                                         \
    }                                                                                                     \
    METHOD0(class, Flush_buffer, "Wait until all buffered messages from here are sent.")                  \
    {                                                                                                     \
        int rc;                                                                                           \
        CALL(rc, NOTE(.comm = NULL), MPI_##class##_flush_buffer, self->handle);                           \
        return finish(NULL, rc);                                                                          \
    }                                                                                                     \
    METHOD0(class, Iflush_buffer, "The request is done when all buffered messages from here are sent.")   \
    {                                                                                                     \
        int rc = RAISED;                                                                                  \
        Request *r = new_request(new_frame());                                                            \
        if (r) CALL(rc, NOTE(.comm = NULL), MPI_##class##_iflush_buffer, self->handle, &r->handle);       \
        return started(r, rc);                                                                            \
    }
#define BUFFER_ROWS(class) ROW(class, Attach_buffer), ROW0(class, Detach_buffer), ROW0(class, Flush_buffer), ROW0(class, Iflush_buffer)

/* --- requests (request.c) --------------------------------------------------------------------------------- */

Request *new_request_of(PyTypeObject *, Frame *);       /* owns the frame, also when it fails */
Request *new_request(Frame *);
Request *new_prequest(void);            /* persistent, with a frame of its own */
void share_request(Request *, const Request *);         /* a second object for the same operation */
PyObject *started(Request *, int rc);   /* the request of a nonblocking call, or raises */
int error_in_status(int rc, const MPI_Status *, int n);  /* the first error of several requests; 0 if none has one */
void park(MPI_Request, Frame *);        /* let it go on without an owner */
int sweep(void);                        /* end what is done of the parked; how many are left */
void end_parked(int with_python);       /* before MPI_Finalize */

/* --- collectives: each operation blocking, nonblocking and persistent from one preparation (collectives.c, neighbors.c) ---- */

typedef struct { Buffer in, out; int root; MPI_Op op; MPI_Info info; MPI_Count left; } Collective;     /* left: items still to be reduced, in chunks */
#define NOTHING_YET {.root = NONE, .op = MPI_OP_NULL, .info = MPI_INFO_NULL}
typedef int (*Form)(Frame *, const char *, PyObject *, int, int, Buffer *);     /* to_buffer, to_blocks, to_wblocks */
int next_chunk(Collective *);           /* the next of a reduction that goes in chunks, if there is one */
int in_chunks(const Collective *);      /* then OverflowError */
#define PREPARE(name) static int prepare_##name(Comm *self, Signature *signature, Frame *frame, Collective *c, ARGS)
#define OF_COLLECTIVE NOTE(ALL(self), MOVES(c.in), .root = c.root, .op = c.op)

/* FAMILY(Bcast, Ibcast, preparation, "buf, root=0", "What it does.", arguments of MPI_Bcast_c) */
#define FAMILY(name, iname, prepare, text, doc, ...)                                                      \
    METHOD(Comm, name, text, doc)                                                                         \
    {                                                                                                     \
        Frame frame; Collective c = NOTHING_YET;                                                          \
        signature->copies = 1;                                                                            \
        int rc = prepare(self, signature, &frame, &c, args, nargs, kwnames);                              \
        if (!rc) do COLLECT_C(rc, &frame, OF_COLLECTIVE, self, MPI_##name, MPI_##iname, __VA_ARGS__, self->handle); \
        while (!rc && next_chunk(&c));                                                                    \
        return finish(&frame, rc);                                                                        \
    }                                                                                                     \
    METHOD(Comm, iname, text, "Start to: " doc)                                                           \
    {                                                                                                     \
        Collective c = NOTHING_YET; int rc = RAISED;                                                      \
        Request *r = new_request(new_frame());                                                            \
        signature->copies = 1;                                                                            \
        if (!r || prepare(self, signature, r->frame, &c, args, nargs, kwnames) || in_chunks(&c)) return started(r, rc); \
        CALL_C(rc, OF_COLLECTIVE, MPI_##iname, __VA_ARGS__, self->handle, &r->handle);                    \
        return started(r, rc);                                                                            \
    }                                                                                                     \
    METHOD(Comm, name##_init, text ", info=INFO_NULL", "Prepare to: " doc " Start the request as often as needed.") \
    {                                                                                                     \
        Collective c = NOTHING_YET; int rc = RAISED;                                                      \
        Request *r = new_prequest();                                                                      \
        if (!r || prepare(self, signature, r->frame, &c, args, nargs, kwnames)) return started(r, rc);    \
        CALL_C(rc, OF_COLLECTIVE, MPI_##name##_init, __VA_ARGS__, self->handle, c.info, &r->handle);              \
        return started(r, rc);                                                                            \
    }

/* --- work under way (works.c) ----------------------------------------------------------------------------- */

/* What takes more than one call of MPI: a receive of any size, a send in pieces, a collective of objects. Whoever waits
 * in MPI advances all works that are listed, under one lock, without the GIL. */
struct Work {
    Work *next;
    size_t size;
    int (*advance)(Work *);             /* 1: done, rc says how */
    PyObject *(*result)(Work *);        /* what it brought, or NULL with an exception; the GIL is held */
    void (*release)(Work *);            /* what it holds; the GIL is held */
    void (*think)(Work *);              /* what it does in Python before it goes on; the GIL is held, not the lock */
    int rc, listed, orphan, cancelled, nrequests, turns, together, thinking;    /* together: a collective */
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
extern volatile int thoughtful;         /* works wait for Python */
void let_think(void);                   /* and get it now, one after the other; without the GIL */
void want_to_think(Work *, void (*think)(Work *));      /* while it is advanced */
int is_thinking(const Work *);          /* or waits for it; nothing else may go on with it then */
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
int is_at_once(int operation);          /* MPI_Isend, MPI_Test and the like do not block */
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
PyObject *irecv_from_anybody(Comm *, Request *, const Buffer *, int tag, const Note *);         /* into a buffer, by what receives objects */
int prepare_objects(MPI_Comm);          /* after MPI_Init: any communicator */
void end_objects(void);                 /* before MPI_Finalize */
int check_objects(Comm *, const char *method, int root);  /* can it do a collective of objects? An rc */
int to_function(const Frame *, PyObject **op);      /* an operation, or any callable; NULL becomes MPI.SUM, borrowed */
extern PyMethodDef object_p2p_methods[], object_message_methods[], object_collective_methods[], object_reduction_methods[],
    object_scan_methods[], object_neighbor_methods[], object_functions[];

/* --- statuses, runtime ------------------------------------------------------------------------------------ */

int probe(Comm *, int operation, int wait, int matched, int source, int tag, MPI_Message *, MPI_Status *, int *found);
void now_is(Message *, MPI_Message);     /* after a receive */
void share_message(Message *, const Message *);
PyObject *matched(PyTypeObject *, Comm *, int wait, int source, int tag, Status *);    /* a Message, or None */
MPI_Count status_bytes(const MPI_Status *);
MPI_Status empty_status(void);
void set_status(Status *, const MPI_Status *);          /* NULL: nothing to do */

extern PyMethodDef flight_functions[], runtime_functions[], error_functions[], attached_functions[], handle_functions[];
int add_comm_types(PyObject *), add_group_type(PyObject *), add_datatype_type(PyObject *), add_op_type(PyObject *),
    add_request_type(PyObject *), add_status_type(PyObject *), add_message_type(PyObject *), add_info_type(PyObject *), add_errhandler_type(PyObject *);
extern PyMethodDef p2p_methods[], collective_methods[], scan_methods[], neighbor_methods[], topology_methods[], topology_functions[];
int neighbors_of(const Comm *, Frame *, Ints *in, Ints *out);           /* an rc */
int add_buffer_type(PyObject *), add_win_type(PyObject *), add_file_type(PyObject *);
void share_win(Win *, const Win *from), share_file(File *, File *from);  /* a second object for the same handle */
PyObject *of_group(PyObject *group, const char *attribute);      /* steals the group */
extern PyMethodDef file_functions[];
int add_topology_types(PyObject *);
int is_main_thread(void);               /* did this thread start MPI? */
extern int open_sessions;               /* that were not finalized yet */
extern int has_world;                   /* MPI was initialized, not only sessions were opened, and is not finalized */
int group_of_all(MPI_Group *);          /* what MPI returns */
int to_session(Frame *, PyObject *, void *);            /* MPI_Session */
void wind_down(void);                   /* before the last session ends, where there is no WORLD */
void have_ended(void);                  /* after the last session has ended */
void end_sessions(void);
int add_session_type(PyObject *);
extern PyMethodDef session_group_methods[], session_intra_methods[], session_inter_methods[];
extern int has_company;                 /* this process started others, or met some */
PyObject *new_inter(MPI_Comm, const Context *parent);
extern PyMethodDef making_inter_methods[], inter_methods[], process_methods[], joining_methods[], process_functions[];
extern PyGetSetDef inter_getters[];
#endif
