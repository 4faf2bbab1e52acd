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

PyObject *finish_with(Frame *frame, int rc, PyObject *result)
{
    PyObject *type, *value, *trace;
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
