package engine

/*
#include "nitro.h"
*/
import "C"

import (
	"math"
	"sync/atomic"
	"unsafe"
)

// engineLog is the engine's log as the committer uses it.
type engineLog struct {
	s    *C.nitro_store
	view *C.struct_nitro_log_view // the engine changes it at any time; valid until nitro_close
}

// newEngineLog returns the store's log. With walOff it is no log from the beginning, although the engine has one until
// the recovery is over.
func newEngineLog(s *C.nitro_store, walOff bool) *engineLog {
	if walOff {
		return &engineLog{s: s, view: &C.struct_nitro_log_view{written: math.MaxUint64, durable: math.MaxUint64}}
	}
	return &engineLog{s: s, view: C.nitro_log_view_of(s)}
}

func (l *engineLog) write(now int64) error {
	var e C.struct_nitro_err
	var b backoff
	for {
		code := C.nitro_log_write(l.s, C.int64_t(now), &e)
		if code != C.NITRO_EBUSY {
			return detailed("log", code, &e)
		}
		b.wait()
	}
}

func (l *engineLog) sync() error {
	var e C.struct_nitro_err
	return detailed("log", C.nitro_log_sync(l.s, &e), &e)
}

func (l *engineLog) note() error {
	var e C.struct_nitro_err
	return detailed("log", C.nitro_log_note(l.s, &e), &e)
}

func (l *engineLog) fill(need uint64) error {
	var e C.struct_nitro_err
	return detailed("log", C.nitro_log_fill(l.s, C.uint64_t(need), &e), &e)
}

func (l *engineLog) stop(now int64) error {
	var e C.struct_nitro_err
	return detailed("log: clean stop", C.nitro_log_stop(l.s, C.int64_t(now), &e), &e)
}

func (l *engineLog) reason() error {
	var e C.struct_nitro_err
	C.nitro_log_error(l.s, &e)
	return detailed("log", C.int(e.code), &e)
}

func (l *engineLog) look() logView {
	v := l.view
	return logView{
		appended: load64(&v.appended), written: load64(&v.written), durable: load64(&v.durable),
		state: LogState(load32(&v.status)), lack: LogLack(load32(&v.full)), fill: load32(&v.fill) != 0,
	}
}

func load64(p *C.uint64_t) uint64 { return atomic.LoadUint64((*uint64)(unsafe.Pointer(p))) }
func load32(p *C.uint32_t) uint32 { return atomic.LoadUint32((*uint32)(unsafe.Pointer(p))) }
