/* Topologies: processes on a grid, or with neighbors of any kind (MPI 5.0, chapter 8). */
#include "core.h"

PyTypeObject *TopocommType, *CartcommType, *GraphcommType, *DistgraphcommType;

/* a flag for each dimension; one flag, or None, for all */
static int to_periods(Frame *frame, PyObject *value, int ndims, Ints *periods)
{
    int flag = 0;
    if (value != Py_None && PySequence_Check(value))
        return to_ints(frame, value, periods) ? blame(frame, "periods") : same_length(frame, "dims and periods", ndims, periods->count);
    if (value != Py_None && to_flag(frame, value, &flag)) return -1;
    *periods = (Ints){frame_memory(frame, (size_t)ndims, sizeof(int)), ndims};
    for (int i = 0; periods->at && i < ndims; i++) periods->at[i] = flag;
    return periods->at ? 0 : -1;
}

/* an object of the class for what MPI made of this communicator, or the error */
static PyObject *made(Frame *frame, int rc, PyTypeObject *class, MPI_Comm new, const Comm *self)
{
    return finish_with(frame, rc, rc ? NULL : (PyObject *)adopt_comm(class, new, self->context));
}

METHOD(Comm, Create_cart, "dims, periods=None, reorder=False", "A communicator whose processes form a grid.")
{
    Frame frame; Ints dims, periods = {NULL, 0}; int reorder = 0; MPI_Comm new = MPI_COMM_NULL; PyObject *wraps = Py_None;
    int rc = PARSE(&frame, to_ints, &dims, to_object, &wraps, to_flag, &reorder) || to_periods(&frame, wraps, dims.count, &periods) ? RAISED : 0;
    if (!rc) CALL(rc, NOTE(ALL(self)), MPI_Cart_create, self->handle, dims.count, dims.at, periods.at, reorder, &new);
    return made(&frame, rc, CartcommType, new, self);
}

METHOD(Comm, Cart_map, "dims, periods=None", "The rank that this process would have on a grid that MPI is free to place, UNDEFINED outside.")
{
    Frame frame; Ints dims, periods = {NULL, 0}; int rank = MPI_UNDEFINED; PyObject *wraps = Py_None;
    int rc = PARSE(&frame, to_ints, &dims, to_object, &wraps) || to_periods(&frame, wraps, dims.count, &periods) ? RAISED : 0;
    if (!rc) CALL(rc, NOTE(ON(self)), MPI_Cart_map, self->handle, dims.count, dims.at, periods.at, &rank);
    return finish_with(&frame, rc, PyLong_FromLong(rank));
}

/* Where the edges of each node end; an index that begins with a zero, as sparse matrices have it, is one longer. */
static int to_index(Frame *frame, PyObject *value, void *target)
{
    Ints *index = target;
    if (to_ints(frame, value, index)) return -1;
    if (index->count && index->at[0] == 0) { index->at++; index->count--; }
    return 0;
}

static int is_member(const Comm *self, int rank)        /* Open MPI does not look */
{
    int size = 0, rc;
    LOCAL(rc, MPI_Comm_size, self->handle, &size);
    return rc ? rc : rank < 0 || rank >= size ? MPI_ERR_RANK : 0;
}

/* an rc */
static int check_graph(Comm *self, const Frame *frame, const Ints *index, const Ints *edges)
{
    int last = index->count ? index->at[index->count - 1] : 0;
    for (int i = 1; i < index->count; i++) if (index->at[i] < index->at[i - 1]) last = -1;
    int rc = usable(self) ? RAISED : 0;
    for (int i = 0; !rc && i < edges->count; i++) rc = is_member(self, edges->at[i]);
    if (rc || last == edges->count) return rc;
    PyErr_Format(PyExc_ValueError, "%s(%s): index must grow, and end with the number of edges, %d", frame->signature->name, frame->signature->text, edges->count);
    return RAISED;
}

METHOD(Comm, Create_graph, "index, edges, reorder=False", "A communicator whose processes form a graph: the neighbors of node i are edges[index[i-1]:index[i]].")
{
    Frame frame; Ints index, edges; int reorder = 0; MPI_Comm new = MPI_COMM_NULL;
    int rc = PARSE(&frame, to_index, &index, to_ints, &edges, to_flag, &reorder);
    if (!rc) rc = check_graph(self, &frame, &index, &edges);
    if (!rc) CALL(rc, NOTE(ALL(self)), MPI_Graph_create, self->handle, index.count, index.at, edges.at, reorder, &new);
    return made(&frame, rc, GraphcommType, new, self);
}

METHOD(Comm, Graph_map, "index, edges", "The rank that this process would have in a graph that MPI is free to place, UNDEFINED outside.")
{
    Frame frame; Ints index, edges; int rank = MPI_UNDEFINED;
    int rc = PARSE(&frame, to_index, &index, to_ints, &edges);
    if (!rc) rc = check_graph(self, &frame, &index, &edges);
    if (!rc) CALL(rc, NOTE(ON(self)), MPI_Graph_map, self->handle, index.count, index.at, edges.at, &rank);
    return finish_with(&frame, rc, PyLong_FromLong(rank));
}

/* None is no process */
static int to_processes(Frame *frame, PyObject *value, void *target)
{
    *(Ints *)target = (Ints){NULL, 0};
    return value == Py_None ? 0 : to_ints(frame, value, target);
}

/* UNWEIGHTED, or None; WEIGHTS_EMPTY, for no edges; or a weight for each edge */
static int to_weights(Frame *frame, const char *argument, PyObject *value, int n, int **weights)
{
    static const char text[] = "expected a sequence of weights, UNWEIGHTED or WEIGHTS_EMPTY";
    Ints ints;
    void *address = PyLong_Check(value) ? PyLong_AsVoidPtr(value) : NULL;
    *weights = value == Py_None || address == MPI_UNWEIGHTED ? MPI_UNWEIGHTED : MPI_WEIGHTS_EMPTY;
    if (*weights == MPI_UNWEIGHTED || (address == MPI_WEIGHTS_EMPTY && n == 0)) return 0;
    if (PyLong_Check(value)) PyErr_Format(PyExc_ValueError, address == MPI_WEIGHTS_EMPTY ? "WEIGHTS_EMPTY, but there are %d edges" : text, n);
    if (PyErr_Occurred() || to_ints(frame, value, &ints)) return blame(frame, argument);
    if (n || ints.count) *weights = ints.at;
    return same_length(frame, argument, n, ints.count);
}

METHOD(Comm, Create_dist_graph_adjacent, "sources, destinations, sourceweights=None, destweights=None, info=INFO_NULL, reorder=False",
       "A communicator in which each process names those that it receives from and those that it sends to.")
{
    Frame frame; Ints in, out; PyObject *inweights = Py_None, *outweights = Py_None; MPI_Info info = MPI_INFO_NULL; MPI_Comm new = MPI_COMM_NULL;
    int reorder = 0, *w = NULL, *v = NULL;
    int rc = PARSE(&frame, to_processes, &in, to_processes, &out, to_object, &inweights, to_object, &outweights, to_info, &info, to_flag, &reorder);
    if (!rc && (to_weights(&frame, "sourceweights", inweights, in.count, &w) || to_weights(&frame, "destweights", outweights, out.count, &v))) rc = RAISED;
    if (!rc) CALL(rc, NOTE(ALL(self)), MPI_Dist_graph_create_adjacent, self->handle, in.count, in.at, w, out.count, out.at, v, info, reorder, &new);
    return made(&frame, rc, DistgraphcommType, new, self);
}

METHOD(Comm, Create_dist_graph, "sources, degrees, destinations, weights=None, info=INFO_NULL, reorder=False",
       "A communicator of which each process names some edges: degrees[i] of the destinations belong to sources[i].")
{
    Frame frame; Ints from, degrees, to; PyObject *given = Py_None; MPI_Info info = MPI_INFO_NULL; MPI_Comm new = MPI_COMM_NULL;
    int reorder = 0, edges = 0, *weights = NULL;
    int rc = PARSE(&frame, to_processes, &from, to_processes, &degrees, to_processes, &to, to_object, &given, to_info, &info, to_flag, &reorder);
    for (int i = 0; !rc && i < degrees.count; i++) edges += degrees.at[i];
    if (!rc && (same_length(&frame, "sources and degrees", from.count, degrees.count) || same_length(&frame, "destinations and the sum of degrees", to.count, edges) ||
                to_weights(&frame, "weights", given, to.count, &weights))) rc = RAISED;
    if (!rc) CALL(rc, NOTE(ALL(self)), MPI_Dist_graph_create, self->handle, from.count, from.at, degrees.at, to.at, weights, info, reorder, &new);
    return made(&frame, rc, DistgraphcommType, new, self);
}

FUNCTION(Compute_dims, "nnodes, dims", "Share out nnodes over a grid: dims is its dimension, or a list in which zeros are filled in.")
{
    Frame frame; int nodes, ndims = 0, rc; PyObject *given; Ints dims;
    (void)self;
    if (PARSE(&frame, to_int, &nodes, to_object, &given)) return finish(&frame, RAISED);
    if (PyIndex_Check(given)) {
        if (to_int(&frame, given, &ndims)) return finish(&frame, RAISED);
        if (ndims < 0) { PyErr_Format(PyExc_ValueError, "Compute_dims(nnodes, dims): dims: negative dimension %d", ndims); return finish(&frame, RAISED); }
        dims = (Ints){frame_memory(&frame, (size_t)ndims, sizeof(int)), ndims};
    } else if (to_ints(&frame, given, &dims))
        return finish(&frame, blame(&frame, "dims"));
    if (!dims.at) return finish(&frame, RAISED);
    ANYTIME(rc, MPI_Dims_create, nodes, dims.count, dims.at);
    return finish_with(&frame, rc, rc ? NULL : from_ints(dims.at, dims.count));
}

/* --- on the grid ------------------------------------------------------------------------------------------ */

METHOD0(Comm, Get_dim, "The number of dimensions.")
{
    int ndims = 0, rc;
    LOCAL(rc, MPI_Cartdim_get, self->handle, &ndims);
    return finish_with(NULL, rc, PyLong_FromLong(ndims));
}

/* dims, periods and own coordinates, in the frame's memory */
static int topo(Comm *self, Frame *frame, int **dims, int **periods, int **coords, int *ndims)
{
    int rc;
    LOCAL(rc, MPI_Cartdim_get, self->handle, ndims);
    if (rc) return rc;
    *dims = frame_memory(frame, 3 * (size_t)*ndims, sizeof(int));
    if (!*dims) return RAISED;
    *periods = *dims + *ndims;
    *coords = *periods + *ndims;
    LOCAL(rc, MPI_Cart_get, self->handle, *ndims, *dims, *periods, *coords);
    return rc;
}

METHOD0(Comm, Get_topo, "The grid's dimensions, periods and the coordinates of this process: three lists.")
{
    Frame frame; int *dims, *periods, *coords, ndims;
    open_frame(&frame, NULL);
    int rc = topo(self, &frame, &dims, &periods, &coords, &ndims);
    if (rc) return finish(&frame, rc);
    return finish_with(&frame, 0, Py_BuildValue("NNN", from_ints(dims, ndims), from_ints(periods, ndims), from_ints(coords, ndims)));
}

METHOD(Comm, Get_cart_rank, "coords", "The rank of the process at these coordinates.")
{
    Frame frame; Ints coords; int ndims = 0, rank = MPI_PROC_NULL;
    int rc = PARSE(&frame, to_ints, &coords);
    if (!rc) LOCAL(rc, MPI_Cartdim_get, self->handle, &ndims);
    if (!rc && same_length(&frame, "coords and the grid's dimensions", coords.count, ndims)) rc = RAISED;
    if (!rc) LOCAL(rc, MPI_Cart_rank, self->handle, coords.at, &rank);
    return finish_with(&frame, rc, PyLong_FromLong(rank));
}

METHOD(Comm, Get_coords, "rank", "The coordinates of a rank.")
{
    Frame frame; int rank, ndims = 0, *coords = NULL;
    int rc = PARSE(&frame, to_int, &rank), size = 0;
    if (!rc) LOCAL(rc, MPI_Cartdim_get, self->handle, &ndims);
    if (!rc) LOCAL(rc, MPI_Comm_size, self->handle, &size);
    if (!rc && (rank < 0 || rank >= size)) rc = MPI_ERR_RANK;           /* Open MPI does not look */
    if (!rc && !(coords = frame_memory(&frame, (size_t)ndims, sizeof(int)))) rc = RAISED;
    if (!rc) LOCAL(rc, MPI_Cart_coords, self->handle, rank, ndims, coords);
    return finish_with(&frame, rc, rc ? NULL : from_ints(coords, ndims));
}

METHOD(Comm, Shift, "direction, disp", "The ranks to receive from and to send to, for a shift along a dimension; PROC_NULL beyond the edge.")
{
    Frame frame; int direction, disp, ndims = 0, source = MPI_PROC_NULL, dest = MPI_PROC_NULL;
    int rc = PARSE(&frame, to_int, &direction, to_int, &disp);
    if (!rc) LOCAL(rc, MPI_Cartdim_get, self->handle, &ndims);
    if (!rc && (direction < 0 || direction >= ndims)) rc = MPI_ERR_DIMS;        /* Open MPI does not look */
    if (!rc) LOCAL(rc, MPI_Cart_shift, self->handle, direction, disp, &source, &dest);
    return finish_with(&frame, rc, rc ? NULL : Py_BuildValue("ii", source, dest));
}

METHOD(Comm, Sub, "remain_dims", "A communicator for each slice of the grid in the dimensions that remain.")
{
    Frame frame; Ints remain; int ndims = 0; MPI_Comm new = MPI_COMM_NULL;
    int rc = PARSE(&frame, to_ints, &remain);
    if (!rc) LOCAL(rc, MPI_Cartdim_get, self->handle, &ndims);
    if (!rc && same_length(&frame, "remain_dims and the grid's dimensions", remain.count, ndims)) rc = RAISED;
    if (!rc) CALL(rc, NOTE(ALL(self)), MPI_Cart_sub, self->handle, remain.at, &new);
    return made(&frame, rc, CartcommType, new, self);
}

/* one item of a tuple; steals the tuple */
static PyObject *part(PyObject *all, int which)
{
    PyObject *item = all ? Py_NewRef(PyTuple_GetItem(all, which)) : NULL;
    Py_XDECREF(all);
    return item;
}

GETTER(Comm, dim, "The number of dimensions.") { return Comm_Get_dim_body(self); }
GETTER(Comm, ndim, "The number of dimensions.") { return Comm_Get_dim_body(self); }
GETTER(Comm, topo, "Dimensions, periods and own coordinates.") { return Comm_Get_topo_body(self); }
GETTER(Comm, dims, "The grid's dimensions.") { return part(Comm_Get_topo_body(self), 0); }
GETTER(Comm, periods, "Which dimensions wrap around.") { return part(Comm_Get_topo_body(self), 1); }
GETTER(Comm, coords, "The coordinates of this process.") { return part(Comm_Get_topo_body(self), 2); }

/* --- in a graph ------------------------------------------------------------------------------------------- */

typedef Comm Graph;                     /* its methods have the names of a grid's */

METHOD0(Graph, Get_dims, "The numbers of nodes and of edges.")
{
    int nodes = 0, edges = 0, rc;
    LOCAL(rc, MPI_Graphdims_get, self->handle, &nodes, &edges);
    return finish_with(NULL, rc, rc ? NULL : Py_BuildValue("ii", nodes, edges));
}

METHOD0(Graph, Get_topo, "The index and the edges of the graph: two lists.")
{
    Frame frame; int nodes = 0, edges = 0, rc, *at = NULL;
    open_frame(&frame, NULL);
    LOCAL(rc, MPI_Graphdims_get, self->handle, &nodes, &edges);
    if (!rc && !(at = frame_memory(&frame, (size_t)nodes + (size_t)edges, sizeof(int)))) rc = RAISED;
    if (!rc) LOCAL(rc, MPI_Graph_get, self->handle, nodes, edges, at, at + nodes);
    return finish_with(&frame, rc, rc ? NULL : Py_BuildValue("NN", from_ints(at, nodes), from_ints(at + nodes, edges)));
}

METHOD(Graph, Get_neighbors_count, "rank", "The number of neighbors of a rank.")
{
    Frame frame; int rank, n = 0;
    int rc = PARSE(&frame, to_int, &rank);
    if (!rc && !(rc = is_member(self, rank))) LOCAL(rc, MPI_Graph_neighbors_count, self->handle, rank, &n);
    return finish_with(&frame, rc, PyLong_FromLong(n));
}

/* in the frame's memory */
static int graph_neighbors(const Comm *self, Frame *frame, int rank, Ints *to)
{
    int rc;
    LOCAL(rc, MPI_Graph_neighbors_count, self->handle, rank, &to->count);
    if (!rc && !(to->at = frame_memory(frame, (size_t)to->count, sizeof(int)))) rc = RAISED;
    if (!rc) LOCAL(rc, MPI_Graph_neighbors, self->handle, rank, to->count, to->at);
    return rc;
}

METHOD(Graph, Get_neighbors, "rank", "The neighbors of a rank.")
{
    Frame frame; int rank; Ints to = {NULL, 0};
    int rc = PARSE(&frame, to_int, &rank);
    if (!rc && !(rc = is_member(self, rank))) rc = graph_neighbors(self, &frame, rank, &to);
    return finish_with(&frame, rc, rc ? NULL : from_ints(to.at, to.count));
}

METHOD0(Comm, Get_dist_neighbors_count, "The numbers of processes that this one receives from and sends to, and whether there are weights.")
{
    int in = 0, out = 0, weighted = 0, rc;
    LOCAL(rc, MPI_Dist_graph_neighbors_count, self->handle, &in, &out, &weighted);
    return finish_with(NULL, rc, rc ? NULL : Py_BuildValue("iiN", in, out, PyBool_FromLong(weighted)));
}

/* the neighbors and, behind them, their weights */
static int dist_neighbors(const Comm *self, Frame *frame, Ints *in, Ints *out, int *weighted)
{
    int rc;
    LOCAL(rc, MPI_Dist_graph_neighbors_count, self->handle, &in->count, &out->count, weighted);
    if (rc) return rc;
    in->at = frame_memory(frame, 2 * (size_t)in->count, sizeof(int));
    out->at = frame_memory(frame, 2 * (size_t)out->count, sizeof(int));
    if (!in->at || !out->at) return RAISED;
    int *w = *weighted ? in->at + in->count : MPI_UNWEIGHTED, *v = *weighted ? out->at + out->count : MPI_UNWEIGHTED;
    LOCAL(rc, MPI_Dist_graph_neighbors, self->handle, in->count, in->at, w, out->count, out->at, v);
    return rc;
}

METHOD0(Comm, Get_dist_neighbors, "The processes that this one receives from, those that it sends to, and the weights of both, or None.")
{
    Frame frame; Ints in, out; int weighted = 0;
    open_frame(&frame, NULL);
    int rc = dist_neighbors(self, &frame, &in, &out, &weighted);
    if (rc) return finish(&frame, rc);
    PyObject *weights = !weighted ? Py_NewRef(Py_None) : Py_BuildValue("NN", from_ints(in.at + in.count, in.count), from_ints(out.at + out.count, out.count));
    return finish_with(&frame, 0, Py_BuildValue("NNN", from_ints(in.at, in.count), from_ints(out.at, out.count), weights));
}

static PyObject *own_neighbors(Comm *self, int count)
{
    Frame frame; Ints to = {NULL, 0}; int rank = 0, rc;
    open_frame(&frame, NULL);
    LOCAL(rc, MPI_Comm_rank, self->handle, &rank);
    if (!rc) rc = graph_neighbors(self, &frame, rank, &to);
    return finish_with(&frame, rc, rc ? NULL : count ? PyLong_FromLong(to.count) : from_ints(to.at, to.count));
}

GETTER(Graph, dims, "The numbers of nodes and of edges.") { return Graph_Get_dims_body(self); }
GETTER(Graph, topo, "The index and the edges of the graph.") { return Graph_Get_topo_body(self); }
GETTER(Graph, nnodes, "The number of nodes.") { return part(Graph_Get_dims_body(self), 0); }
GETTER(Graph, nedges, "The number of edges.") { return part(Graph_Get_dims_body(self), 1); }
GETTER(Graph, index, "Where the edges of each node end in the list of edges.") { return part(Graph_Get_topo_body(self), 0); }
GETTER(Graph, edges, "The edges of all nodes.") { return part(Graph_Get_topo_body(self), 1); }
GETTER(Graph, nneighbors, "The number of neighbors of this process.") { return own_neighbors(self, 1); }
GETTER(Graph, neighbors, "The neighbors of this process.") { return own_neighbors(self, 0); }

/* --- in any topology -------------------------------------------------------------------------------------- */

static int cart_neighbors(const Comm *self, Frame *frame, Ints *both)
{
    int ndims = 0, rc;
    LOCAL(rc, MPI_Cartdim_get, self->handle, &ndims);
    *both = (Ints){rc ? NULL : frame_memory(frame, 2 * (size_t)ndims, sizeof(int)), 2 * ndims};
    if (!rc && !both->at) rc = RAISED;
    for (int i = 0; !rc && i < ndims; i++) LOCAL(rc, MPI_Cart_shift, self->handle, i, 1, &both->at[2 * i], &both->at[2 * i + 1]);
    return rc;
}

/* whom this process receives from and sends to in collectives of neighbors, in the frame's memory */
int neighbors_of(const Comm *self, Frame *frame, Ints *in, Ints *out)
{
    int topology = MPI_UNDEFINED, rank = 0, weighted, rc;
    *in = *out = (Ints){NULL, 0};
    LOCAL(rc, MPI_Topo_test, self->handle, &topology);
    if (!rc && topology == MPI_DIST_GRAPH) return dist_neighbors(self, frame, in, out, &weighted);
    if (!rc) LOCAL(rc, MPI_Comm_rank, self->handle, &rank);
    if (!rc && topology == MPI_CART) rc = cart_neighbors(self, frame, in);
    if (!rc && topology == MPI_GRAPH) rc = graph_neighbors(self, frame, rank, in);
    *out = *in;
    return rc;
}

static PyObject *neighborhood(Comm *self, const char *format)
{
    Frame frame; Ints in, out; PyObject *value = NULL;
    open_frame(&frame, NULL);
    int rc = neighbors_of(self, &frame, &in, &out);
    if (!rc && *format == 'i') value = Py_BuildValue(format, in.count, out.count);
    else if (!rc) value = Py_BuildValue(format, from_ints(in.at, in.count), from_ints(out.at, out.count));
    return finish_with(&frame, rc, value);
}

GETTER(Comm, degrees, "The numbers of processes that this one receives from and sends to.") { return neighborhood(self, "ii"); }
GETTER(Comm, indegree, "The number of processes that this one receives from.") { return part(neighborhood(self, "ii"), 0); }
GETTER(Comm, outdegree, "The number of processes that this one sends to.") { return part(neighborhood(self, "ii"), 1); }
GETTER(Comm, inoutedges, "The ranks that this process receives from, and those that it sends to.") { return neighborhood(self, "NN"); }
GETTER(Comm, inedges, "The ranks that this process receives from.") { return part(neighborhood(self, "NN"), 0); }
GETTER(Comm, outedges, "The ranks that this process sends to.") { return part(neighborhood(self, "NN"), 1); }

/* --- the types -------------------------------------------------------------------------------------------- */

PyMethodDef topology_methods[] = {
    ROW(Comm, Create_cart), ROW(Comm, Cart_map), ROW(Comm, Create_graph), ROW(Comm, Graph_map), ROW(Comm, Create_dist_graph_adjacent),
    ROW(Comm, Create_dist_graph), END_OF_ROWS};
PyMethodDef topology_functions[] = {ROW_(module, Compute_dims, 0), END_OF_ROWS};
static PyMethodDef cart_methods[] = {
    ROW0(Comm, Get_dim), ROW0(Comm, Get_topo), ROW(Comm, Get_cart_rank), ROW(Comm, Get_coords), ROW(Comm, Shift), ROW(Comm, Sub), END_OF_ROWS};
static PyMethodDef graph_methods[] = {ROW0(Graph, Get_dims), ROW0(Graph, Get_topo), ROW(Graph, Get_neighbors_count), ROW(Graph, Get_neighbors), END_OF_ROWS};
static PyMethodDef distgraph_methods[] = {ROW0(Comm, Get_dist_neighbors_count), ROW0(Comm, Get_dist_neighbors), END_OF_ROWS};
static PyGetSetDef topo_getters[] = {
    GETROW(Comm, degrees), GETROW(Comm, indegree), GETROW(Comm, outdegree), GETROW(Comm, inoutedges), GETROW(Comm, inedges), GETROW(Comm, outedges), END_OF_GETROWS};
static PyGetSetDef cart_getters[] = {
    GETROW(Comm, dim), GETROW(Comm, ndim), GETROW(Comm, topo), GETROW(Comm, dims), GETROW(Comm, periods), GETROW(Comm, coords), END_OF_GETROWS};
static PyGetSetDef graph_getters[] = {
    GETROW(Graph, dims), GETROW(Graph, topo), GETROW(Graph, nnodes), GETROW(Graph, nedges), GETROW(Graph, index), GETROW(Graph, edges),
    GETROW(Graph, nneighbors), GETROW(Graph, neighbors), END_OF_GETROWS};
static PyGetSetDef no_getters[] = {END_OF_GETROWS};

static int add_topology(PyObject *module, PyTypeObject **type, const char *name, const char *doc, PyTypeObject *base, PyMethodDef *methods, PyGetSetDef *getters)
{
    PyType_Slot slots[] = {SLOT(Py_tp_dealloc, comm_dealloc), {Py_tp_methods, methods}, {Py_tp_getset, getters}, {Py_tp_doc, (void *)(uintptr_t)doc}, {0, NULL}};
    PyType_Spec spec = {name, sizeof(Comm), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, slots};
    return add_type(module, type, &spec, base, methods);
}

static int add_address(PyObject *module, const char *name, void *address)
{
    PyObject *number = PyLong_FromVoidPtr(address);
    int bad = !number || PyModule_AddObjectRef(module, name, number);
    Py_XDECREF(number);
    return bad;
}

int add_topology_types(PyObject *module)
{
    PyMethodDef *const tables[] = {neighbor_methods, object_neighbor_methods, NULL}, *all = joined(tables);
    if (!all) return -1;
    return add_topology(module, &TopocommType, "mmpi.MPI.Topocomm", "A communicator with a topology.", IntracommType, all, topo_getters) ||
           add_topology(module, &CartcommType, "mmpi.MPI.Cartcomm", "A communicator whose processes form a grid.", TopocommType, cart_methods, cart_getters) ||
           add_topology(module, &GraphcommType, "mmpi.MPI.Graphcomm", "A communicator whose processes form a graph that all know.", TopocommType, graph_methods, graph_getters) ||
           add_topology(module, &DistgraphcommType, "mmpi.MPI.Distgraphcomm", "A communicator whose processes form a graph of which each knows its part.",
                        TopocommType, distgraph_methods, no_getters) ||
           add_address(module, "UNWEIGHTED", MPI_UNWEIGHTED) || add_address(module, "WEIGHTS_EMPTY", MPI_WEIGHTS_EMPTY) ? -1 : 0;
}
