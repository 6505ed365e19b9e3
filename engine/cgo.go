package engine

// The one list of C flags that decide which code is generated: cgo uses it for every .c file beside this one,
// and the Makefile reads it from here for the C libraries and tests. Warnings are not in it: a newer compiler
// must not break the build of a program that embeds the engine. The libraries that the engine links are read from
// here in the same way.
//
// noescape and nocallback hold for every function of nitro.h that Go calls: C keeps no Go pointer after a call, and
// nothing on these paths calls back into Go. They save the heap copies and the scheduler's preparations that cgo
// would otherwise make for each call.

/*
#cgo CFLAGS: -std=gnu11 -O2 -fvisibility=hidden
#cgo pkg-config: libzstd liblz4
#cgo noescape nitro_prepare
#cgo nocallback nitro_prepare
#cgo noescape nitro_execute
#cgo nocallback nitro_execute
#cgo noescape nitro_get_away
#cgo nocallback nitro_get_away
#cgo noescape nitro_fetch
#cgo nocallback nitro_fetch
#cgo noescape nitro_keep
#cgo nocallback nitro_keep
#cgo noescape nitro_set
#cgo nocallback nitro_set
#cgo noescape nitro_delete
#cgo nocallback nitro_delete
#cgo noescape nitro_incr
#cgo nocallback nitro_incr
#cgo noescape nitro_expire
#cgo nocallback nitro_expire
#cgo noescape nitro_step
#cgo nocallback nitro_step
#cgo noescape nitro_retire_due
#cgo nocallback nitro_retire_due
#cgo noescape nitro_stats
#cgo nocallback nitro_stats
#cgo noescape nitro_chunk_compact
#cgo nocallback nitro_chunk_compact
#cgo noescape nitro_chunk_grow
#cgo nocallback nitro_chunk_grow
#cgo noescape nitro_chunk_reset
#cgo nocallback nitro_chunk_reset
#cgo noescape nitro_chunk_stash
#cgo nocallback nitro_chunk_stash
#cgo noescape nitro_chunk_reply
#cgo nocallback nitro_chunk_reply
#cgo noescape nitro_chunk_request
#cgo nocallback nitro_chunk_request
#cgo noescape nitro_chunk_skip
#cgo nocallback nitro_chunk_skip
#cgo noescape nitro_chunk_fetch
#cgo nocallback nitro_chunk_fetch
#cgo noescape nitro_write
#cgo nocallback nitro_write
#cgo noescape nitro_flush
#cgo nocallback nitro_flush
#cgo noescape nitro_log_need
#cgo nocallback nitro_log_need
#cgo noescape nitro_log_view_of
#cgo nocallback nitro_log_view_of
#cgo noescape nitro_log_write
#cgo nocallback nitro_log_write
#cgo noescape nitro_log_sync
#cgo nocallback nitro_log_sync
#cgo noescape nitro_log_fill
#cgo nocallback nitro_log_fill
#cgo noescape nitro_log_note
#cgo nocallback nitro_log_note
#cgo noescape nitro_log_stop
#cgo nocallback nitro_log_stop
#cgo noescape nitro_log_error
#cgo nocallback nitro_log_error
#cgo noescape nitro_recover_scan
#cgo nocallback nitro_recover_scan
#cgo noescape nitro_recover_replay
#cgo nocallback nitro_recover_replay
#cgo noescape nitro_recover_progress
#cgo nocallback nitro_recover_progress
#cgo noescape nitro_recover_finish
#cgo nocallback nitro_recover_finish
#cgo noescape nitro_chunk_gate
#cgo nocallback nitro_chunk_gate
#cgo noescape nitro_recover_load
#cgo nocallback nitro_recover_load
#cgo noescape nitro_snapshot_prepare
#cgo nocallback nitro_snapshot_prepare
#cgo noescape nitro_snapshot_begin
#cgo nocallback nitro_snapshot_begin
#cgo noescape nitro_snapshot_gather
#cgo nocallback nitro_snapshot_gather
#cgo noescape nitro_snapshot_write
#cgo nocallback nitro_snapshot_write
#cgo noescape nitro_snapshot_finish
#cgo nocallback nitro_snapshot_finish
#cgo noescape nitro_snapshot_abort
#cgo nocallback nitro_snapshot_abort
#cgo noescape nitro_snapshot_progress
#cgo nocallback nitro_snapshot_progress
#cgo noescape nitro_folder_state
#cgo nocallback nitro_folder_state
#cgo noescape nitro_retain_some
#cgo nocallback nitro_retain_some
#cgo noescape nitro_merge_step
#cgo nocallback nitro_merge_step
#cgo noescape nitro_merge_roll
#cgo nocallback nitro_merge_roll
#cgo noescape nitro_data_files_of
#cgo nocallback nitro_data_files_of
#cgo noescape nitro_mode_of
#cgo nocallback nitro_mode_of
#include "nitro.h"
*/
import "C"

// Version is the engine's version, for example "0.1.0".
const Version = C.NITRO_VERSION_STRING

// FormatVersion is that of the files in a data folder (docs/FORMAT.md).
const FormatVersion = C.NITRO_FORMAT_VERSION

// Limits of every store; Options may lower some of them.
const (
	KeyMax          = C.NITRO_KEY_MAX
	ValueMax        = C.NITRO_VALUE_MAX
	SegmentsMax     = C.NITRO_SEGMENTS_MAX
	SegmentsDefault = C.NITRO_SEGMENTS_DEFAULT
)
