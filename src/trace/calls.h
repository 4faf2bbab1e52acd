/* What the interposer records (interpose.c): the functions that communicate, make what communicates, wait for it, or end it.
 *
 *     CALL(name, Fortran's name, arguments, flags, roles)      in C and Fortran, which has one argument more, the error
 *     TEXT(name, Fortran's name, arguments, Fortran's arguments, flags, roles)        the same, where Fortran passes lengths of texts behind it all
 *     LARGE(name, arguments, flags, roles)                     name_c, in C only: with counts of 64 bits
 *
 * A role is a letter an argument:
 *   c F W  communicator, file, window           y P U  pointer to one that ends         x p u  pointer to a new one
 *   d g    destination or source, tag           D G    those of the receiving half      r      root, or target: just a rank
 *   n t    count and type of what moves         N T    those of the other side          v V    as n and N, an array: one for each rank
 *   B      send buffer, or IN_PLACE             z      bytes                            .      not looked at
 *   L      count of 64 bits, in any case
 *   q      pointer to a new request             Q e a Z  to one that is waited for, freed, cancelled, started
 *   k      number of requests                   A Y    array of requests: waited for, started
 *   s S    status, statuses                     f i    flag, index                      o I    number of indices, indices
 *   M m    pointer to a new message, to one that is received           h      text that tells communicators of the same processes apart
 *   j      pointer to a new communicator of two groups that do not have one in common */

/* blocking, nonblocking, prepared */
#define SENDING(name, lower)                                                                              \
    BOTH(name, lower, 6, 0, ".ntdgc") BOTH(I##lower, i##lower, 7, 0, ".ntdgcq") BOTH(name##_init, lower##_init, 7, PREPARES, ".ntdgcq")
#define TOGETHER(name, lower, n, n1, n2, flags, roles)                                                    \
    BOTH(name, lower, n, ALL | flags, roles) BOTH(I##lower, i##lower, n1, ALL | flags, roles "q")         \
    BOTH(name##_init, lower##_init, n2, ALL | flags | PREPARES, roles ".q")
#define BOTH(name, lower, n, flags, roles) CALL(name, lower, n, flags, roles) LARGE(name, n, flags, roles)
/* a file's own pointer, an explicit offset; all: is it a collective? Those can be split, too. */
#define ACCESS(name, all)                                                                                 \
    BOTH(File_##name, file_##name, 5, all, "F.nt.") BOTH(File_i##name, file_i##name, 5, all, "F.ntq")
#define ACCESS_AT(name, all)                                                                              \
    BOTH(File_##name, file_##name, 6, all, "F..nt.") BOTH(File_i##name, file_i##name, 6, all, "F..ntq")
#define SPLIT(name, n, roles) BOTH(File_##name##_begin, file_##name##_begin, n, ALL, roles) CALL(File_##name##_end, file_##name##_end, 3, ALL, "F..")

/* point-to-point */
SENDING(Send, send)
SENDING(Bsend, bsend)
SENDING(Rsend, rsend)
SENDING(Ssend, ssend)
BOTH(Recv, recv, 7, RECEIVES, ".ntdgcs")
BOTH(Irecv, irecv, 7, RECEIVES, ".ntdgcq")
BOTH(Recv_init, recv_init, 7, RECEIVES | PREPARES, ".ntdgcq")
BOTH(Sendrecv, sendrecv, 12, 0, ".ntdg...DGcs")
BOTH(Sendrecv_replace, sendrecv_replace, 9, 0, ".ntdgDGcs")
BOTH(Isendrecv, isendrecv, 12, 0, ".ntdg...DGcq")
BOTH(Isendrecv_replace, isendrecv_replace, 9, 0, ".ntdgDGcq")
CALL(Psend_init, psend_init, 9, PREPARES, ".nLtdgc.q")
CALL(Precv_init, precv_init, 9, PREPARES | RECEIVES, ".nLtdgc.q")
CALL(Pready, pready, 2, 0, "..")
CALL(Pready_range, pready_range, 3, 0, "...")
CALL(Pready_list, pready_list, 3, 0, "...")
CALL(Parrived, parrived, 3, 0, "..f")
CALL(Probe, probe, 4, RECEIVES, "dgcs")
CALL(Iprobe, iprobe, 5, RECEIVES, "dgcfs")
CALL(Mprobe, mprobe, 5, RECEIVES, "dgcMs")
CALL(Improbe, improbe, 6, RECEIVES, "dgcfMs")
BOTH(Mrecv, mrecv, 5, RECEIVES, ".ntms")
BOTH(Imrecv, imrecv, 5, RECEIVES, ".ntmq")

/* requests */
CALL(Wait, wait, 2, 0, "Qs")
CALL(Test, test, 3, 0, "Qfs")
CALL(Waitall, waitall, 3, 0, "kAS")
CALL(Testall, testall, 4, 0, "kAfS")
CALL(Waitany, waitany, 4, 0, "kAis")
CALL(Testany, testany, 5, 0, "kAifs")
CALL(Waitsome, waitsome, 5, 0, "kAoIS")
CALL(Testsome, testsome, 5, POLLS, "kAoIS")
CALL(Request_get_status, request_get_status, 3, 0, ".f.")
CALL(Request_free, request_free, 1, 0, "e")
CALL(Cancel, cancel, 1, 0, "a")
CALL(Start, start, 1, 0, "Z")
CALL(Startall, startall, 2, 0, "kY")

/* collectives */
CALL(Barrier, barrier, 1, ALL, "c")
CALL(Ibarrier, ibarrier, 2, ALL, "cq")
CALL(Barrier_init, barrier_init, 3, ALL | PREPARES, "c.q")
TOGETHER(Bcast, bcast, 5, 6, 7, 0, ".ntrc")
TOGETHER(Gather, gather, 8, 9, 10, 0, "Bnt.NTrc")
TOGETHER(Gatherv, gatherv, 9, 10, 11, 0, "Bnt.V.Trc")
TOGETHER(Scatter, scatter, 8, 9, 10, FROM_ROOT, ".nt...rc")
TOGETHER(Scatterv, scatterv, 9, 10, 11, FROM_ROOT, ".v.t...rc")
TOGETHER(Allgather, allgather, 7, 8, 9, 0, "Bnt.NTc")
TOGETHER(Allgatherv, allgatherv, 8, 9, 10, 0, "Bnt.V.Tc")
TOGETHER(Alltoall, alltoall, 7, 8, 9, 0, "Bnt.NTc")
TOGETHER(Alltoallv, alltoallv, 9, 10, 11, 0, "Bv.t.V.Tc")
TOGETHER(Alltoallw, alltoallw, 9, 10, 11, 0, "........c")
TOGETHER(Reduce, reduce, 7, 8, 9, 0, "..nt.rc")
TOGETHER(Allreduce, allreduce, 6, 7, 8, 0, "..nt.c")
TOGETHER(Reduce_scatter, reduce_scatter, 6, 7, 8, 0, "..vt.c")
TOGETHER(Reduce_scatter_block, reduce_scatter_block, 6, 7, 8, 0, "..nt.c")
TOGETHER(Scan, scan, 6, 7, 8, 0, "..nt.c")
TOGETHER(Exscan, exscan, 6, 7, 8, 0, "..nt.c")
TOGETHER(Neighbor_allgather, neighbor_allgather, 7, 8, 9, 0, ".nt...c")
TOGETHER(Neighbor_allgatherv, neighbor_allgatherv, 8, 9, 10, 0, ".nt....c")
TOGETHER(Neighbor_alltoall, neighbor_alltoall, 7, 8, 9, 0, ".nt...c")
TOGETHER(Neighbor_alltoallv, neighbor_alltoallv, 9, 10, 11, 0, "........c")
TOGETHER(Neighbor_alltoallw, neighbor_alltoallw, 9, 10, 11, 0, "........c")

/* communicators */
CALL(Comm_dup, comm_dup, 2, ALL, "cx")
CALL(Comm_dup_with_info, comm_dup_with_info, 3, ALL, "c.x")
CALL(Comm_idup, comm_idup, 3, ALL, "cxq")
CALL(Comm_idup_with_info, comm_idup_with_info, 4, ALL, "c.xq")
CALL(Comm_create, comm_create, 3, ALL, "c.x")
CALL(Comm_create_group, comm_create_group, 4, 0, "c.gx")
CALL(Comm_split, comm_split, 4, ALL, "c..x")
CALL(Comm_split_type, comm_split_type, 5, ALL, "c...x")
CALL(Intercomm_create, intercomm_create, 6, ALL, "cr...j")
CALL(Intercomm_merge, intercomm_merge, 3, ALL, "c.x")
CALL(Cart_create, cart_create, 6, ALL, "c....x")
CALL(Cart_sub, cart_sub, 3, ALL, "c.x")
CALL(Graph_create, graph_create, 6, ALL, "c....x")
CALL(Dist_graph_create, dist_graph_create, 9, ALL, "c.......x")
CALL(Dist_graph_create_adjacent, dist_graph_create_adjacent, 10, ALL, "c........x")
CALL(Comm_free, comm_free, 1, ALL, "y")
CALL(Comm_disconnect, comm_disconnect, 1, ALL, "y")
CALL(Comm_set_info, comm_set_info, 2, ALL, "c.")
TEXT(Comm_set_name, comm_set_name, 2, 4, NAMES, "c.")
TEXT(Comm_accept, comm_accept, 5, 7, ALL, "..rcj")
TEXT(Comm_connect, comm_connect, 5, 7, ALL, "..rcj")
CALL(Comm_join, comm_join, 2, 0, ".j")
TEXT(Comm_spawn, comm_spawn, 8, 11, ALL | SPAWNS, "....rcj.")
TEXT(Comm_spawn_multiple, comm_spawn_multiple, 9, 12, ALL | SPAWNS, ".....rcj.")
CALL(Abort, abort, 2, 0, "c.")

/* sessions */
CALL(Session_init, session_init, 3, BEGINS, "...")
CALL(Session_finalize, session_finalize, 1, 0, ".")
TEXT(Comm_create_from_group, comm_create_from_group, 5, 7, 0, ".h..x")
TEXT(Intercomm_create_from_groups, intercomm_create_from_groups, 8, 10, 0, ".......j")

/* windows */
BOTH(Win_create, win_create, 6, ALL, ".z..cu")
BOTH(Win_allocate, win_allocate, 6, ALL, "z..c.u")
BOTH(Win_allocate_shared, win_allocate_shared, 6, ALL, "z..c.u")
CALL(Win_create_dynamic, win_create_dynamic, 3, ALL, ".cu")
CALL(Win_free, win_free, 1, ALL, "U")
CALL(Win_fence, win_fence, 2, ALL, ".W")
CALL(Win_set_info, win_set_info, 2, ALL, "W.")
CALL(Win_post, win_post, 3, 0, "..W")
CALL(Win_start, win_start, 3, 0, "..W")
CALL(Win_complete, win_complete, 1, 0, "W")
CALL(Win_wait, win_wait, 1, 0, "W")
CALL(Win_test, win_test, 2, 0, "Wf")
CALL(Win_lock, win_lock, 4, 0, ".r.W")
CALL(Win_lock_all, win_lock_all, 2, 0, ".W")
CALL(Win_unlock, win_unlock, 2, 0, "rW")
CALL(Win_unlock_all, win_unlock_all, 1, 0, "W")
CALL(Win_flush, win_flush, 2, 0, "rW")
CALL(Win_flush_all, win_flush_all, 1, 0, "W")
CALL(Win_flush_local, win_flush_local, 2, 0, "rW")
CALL(Win_flush_local_all, win_flush_local_all, 1, 0, "W")
CALL(Win_sync, win_sync, 1, 0, "W")
BOTH(Put, put, 8, 0, ".ntr...W")
BOTH(Get, get, 8, 0, ".ntr...W")
BOTH(Accumulate, accumulate, 9, 0, ".ntr....W")
BOTH(Get_accumulate, get_accumulate, 12, 0, "....ntr....W")
BOTH(Rput, rput, 9, 0, ".ntr...Wq")
BOTH(Rget, rget, 9, 0, ".ntr...Wq")
BOTH(Raccumulate, raccumulate, 10, 0, ".ntr....Wq")
BOTH(Rget_accumulate, rget_accumulate, 13, 0, "....ntr....Wq")
CALL(Fetch_and_op, fetch_and_op, 7, 0, "..tr..W")
CALL(Compare_and_swap, compare_and_swap, 7, 0, "...tr.W")

/* files */
TEXT(File_open, file_open, 5, 7, ALL, "c...p")
CALL(File_close, file_close, 1, ALL, "P")
CALL(File_set_size, file_set_size, 2, ALL, "F.")
CALL(File_preallocate, file_preallocate, 2, ALL, "F.")
TEXT(File_set_view, file_set_view, 6, 8, ALL, "F.....")
CALL(File_set_info, file_set_info, 2, ALL, "F.")
CALL(File_set_atomicity, file_set_atomicity, 2, ALL, "F.")
CALL(File_sync, file_sync, 1, ALL, "F")
CALL(File_seek, file_seek, 3, 0, "F..")
CALL(File_seek_shared, file_seek_shared, 3, ALL, "F..")
ACCESS(read, 0)
ACCESS(write, 0)
ACCESS(read_all, ALL)
ACCESS(write_all, ALL)
ACCESS(read_shared, 0)
ACCESS(write_shared, 0)
ACCESS_AT(read_at, 0)
ACCESS_AT(write_at, 0)
ACCESS_AT(read_at_all, ALL)
ACCESS_AT(write_at_all, ALL)
BOTH(File_read_ordered, file_read_ordered, 5, ALL, "F.nt.")
BOTH(File_write_ordered, file_write_ordered, 5, ALL, "F.nt.")
SPLIT(read_all, 4, "F.nt")
SPLIT(write_all, 4, "F.nt")
SPLIT(read_ordered, 4, "F.nt")
SPLIT(write_ordered, 4, "F.nt")
SPLIT(read_at_all, 5, "F..nt")
SPLIT(write_at_all, 5, "F..nt")

#undef SENDING
#undef TOGETHER
#undef BOTH
#undef ACCESS
#undef ACCESS_AT
#undef SPLIT
