/* Errors: an MPI code becomes mmpi.MPIError, with a note that says which call, on what, where. */
#include "core.h"
#include <stdio.h>

PyObject *MPIError;

static int add_note(PyObject *error, const Call *call)
{
    char text[512], *p = text, *end = text + sizeof text;
    p += snprintf(p, (size_t)(end - p), "in %s(", operation_names[call->operation]);
    const struct { const char *name; int64_t value, none; } fields[] = {
        {"peer", call->peer, NONE}, {"tag", call->tag, NONE}, {"root", call->root, NONE}, {"count", call->count, -1}, {"bytes", call->bytes, -1}};
    const char *comma = "";
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        if (fields[i].value == fields[i].none) continue;
        p += snprintf(p, (size_t)(end - p), "%s%s %lld", comma, fields[i].name, (long long)fields[i].value);
        comma = ", ";
    }
    const Head *head = flight_head();
    p += snprintf(p, (size_t)(end - p), ")");
    if (call->comm == WORLD_ID || call->comm == self_id) p += snprintf(p, (size_t)(end - p), " on %s", call->comm == WORLD_ID ? "COMM_WORLD" : "COMM_SELF");
    else if (call->comm) p += snprintf(p, (size_t)(end - p), " on communicator %08llx", (unsigned long long)(call->comm & 0xffffffff));
    snprintf(p, (size_t)(end - p), ", rank %d of %d on %s", head->rank, head->size, head->host);
    PyObject *done = PyObject_CallMethod(error, "add_note", "s", text);
    Py_XDECREF(done);
    return done ? 0 : -1;
}

static PyObject *raise(int rc)
{
    PyObject *error = PyObject_CallFunction(MPIError, "i", rc);
    if (error && failed_call && failed_call->rc == rc && add_note(error, failed_call)) Py_CLEAR(error);
    failed_call = NULL;
    if (error) PyErr_SetObject(MPIError, error);
    Py_XDECREF(error);
    return NULL;
}

/* not by PyErr_Print, whose hooks would take it for the end of the program */
int error_in_callback(void)
{
    int code = MPI_ERR_OTHER;
    PyObject *type, *value, *trace, *traceback = NULL;
    PyErr_Fetch(&type, &value, &trace);
    PyErr_NormalizeException(&type, &value, &trace);
    PyObject *given = value && PyObject_TypeCheck(value, (PyTypeObject *)MPIError) ? PyObject_CallMethod(value, "Get_error_code", NULL) : NULL;
    if (given) code = (int)PyLong_AsLong(given);
    Py_XDECREF(given);
    if (trace) PyException_SetTraceback(value, trace);
    PyObject *printed = (traceback = PyImport_ImportModule("traceback")) ? PyObject_CallMethod(traceback, "print_exception", "O", value) : NULL;
    if (!printed) PyErr_WriteUnraisable(NULL);
    PyObject *done[] = {type, value, trace, traceback, printed};
    for (int i = 0; i < 5; i++) Py_XDECREF(done[i]);
    return code ? code : MPI_ERR_OTHER;
}

void end_in_callback(const char *what)
{
    PySys_WriteStderr("An exception in %s cannot be passed through MPI; the job ends:\n", what);
    PyErr_Print();
    set_exit_status(1);
    ask_others();
    MPI_Abort(MPI_COMM_WORLD, 1);
}

PyObject *finish_with(Frame *frame, int rc, PyObject *result)
{
    PyObject *type, *value, *trace;
    if (!rc && frame) rc = bring_back(frame);
    if (!rc) {
        if (frame) close_frame(frame);
        return result;
    }
    Py_XDECREF(result);
    if (rc != RAISED) raise(rc);
    PyErr_Fetch(&type, &value, &trace);                 /* letting go may run Python code */
    if (frame) close_frame(frame);
    PyErr_Restore(type, value, trace);
    return NULL;
}

int check(int rc) { return rc && !finish(NULL, rc) ? RAISED : 0; }

PyObject *finish_heap(Frame *frame, int rc)
{
    PyObject *result = finish(frame, rc);
    free_frame(frame);
    return result;
}

PyObject *finish(Frame *frame, int rc) { return finish_with(frame, rc, Py_NewRef(Py_None)); }

/* --- errors of one's own (MPI 5.0, section 9.5) ----------------------------------------------------------- */

FUNCTION0(Add_error_class, "A new error class.")
{
    int class = 0, rc;
    (void)self;
    ANYTIME(rc, MPI_Add_error_class, &class);
    return finish_with(NULL, rc, PyLong_FromLong(class));
}

FUNCTION(Add_error_code, "errorclass", "A new error code of a class.")
{
    Frame frame; int class, code = 0;
    (void)self;
    int rc = PARSE(&frame, to_int, &class);
    if (!rc) ANYTIME(rc, MPI_Add_error_code, class, &code);
    return finish_with(&frame, rc, PyLong_FromLong(code));
}

FUNCTION(Add_error_string, "errorcode, string", "The text of an error code or class of one's own.")
{
    Frame frame; int code; const char *text;
    (void)self;
    int rc = PARSE(&frame, to_int, &code, to_text, &text);
    if (!rc) ANYTIME(rc, MPI_Add_error_string, code, text);
    return finish(&frame, rc);
}

#define REMOVAL(name, argument, doc)                                                                      \
    FUNCTION(name, argument, doc)                                                                         \
    {                                                                                                     \
        Frame frame; int code;                                                                            \
        (void)self;                                                                                       \
        int rc = PARSE(&frame, to_int, &code);                                                            \
        if (!rc) ANYTIME(rc, MPI_##name, code);                                                           \
        return finish(&frame, rc);                                                                        \
    }
REMOVAL(Remove_error_class, "errorclass", "Remove an error class of one's own, which has no codes.")
REMOVAL(Remove_error_code, "errorcode", "Remove an error code of one's own.")
REMOVAL(Remove_error_string, "errorcode", "Remove the text of an error code or class of one's own.")

PyMethodDef error_functions[] = {
    ROW0(module, Add_error_class), ROW_(module, Add_error_code, 0), ROW_(module, Add_error_string, 0), ROW_(module, Remove_error_class, 0),
    ROW_(module, Remove_error_code, 0), ROW_(module, Remove_error_string, 0), END_OF_ROWS};
