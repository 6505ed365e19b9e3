package engine

/*
#include "nitro.h"
*/
import "C"

import (
	"runtime"
	"slices"
	"time"
	"unsafe"
)

// Info describes a stored value.
type Info struct {
	Version uint64    // unique in the store, larger for every later write of the key
	Expire  time.Time // zero: never
	Bytes   uint64    // of the value
}

// SetOptions are the conditions and extras of a Set. The zero value stores unconditionally and for ever.
type SetOptions struct {
	IfAbsent bool      // store only if the key does not exist, else ErrNotStored
	IfExists bool      // store only if the key exists, else ErrNotStored
	KeepTTL  bool      // keep the expiry of the value that is replaced; Expire must be zero
	Expire   time.Time // zero: never
}

// Get appends the value of key to dst and returns the extended slice. ErrNotFound leaves dst as it was.
func (s *Store) Get(dst, key []byte) ([]byte, error) {
	dst, _, err := s.get(dst, key, true)
	return dst, err
}

// GetInfo is Get that also tells the value's version and expiry.
func (s *Store) GetInfo(dst, key []byte) ([]byte, Info, error) {
	dst, ci, err := s.get(dst, key, true)
	return dst, infoOf(&ci), err
}

// Info describes the value of key without copying it, or returns ErrNotFound.
func (s *Store) Info(key []byte) (Info, error) {
	_, ci, err := s.get(nil, key, false)
	return infoOf(&ci), err
}

// get retries while the segment is busy, and while the value is larger than the room behind dst: it may change
// between two tries.
func (s *Store) get(dst, key []byte, value bool) ([]byte, C.struct_nitro_info, error) {
	var b backoff
	for {
		var ci C.struct_nitro_info
		var room []byte
		if value {
			room = dst[len(dst):cap(dst)]
		}
		t, err := s.enter()
		if err != nil {
			return dst, ci, err
		}
		code := C.nitro_get(s.c, C.int64_t(s.Now()), pointer(key), C.size_t(len(key)),
			pointer(room), C.size_t(len(room)), &ci)
		s.gate.runlock(t)
		switch {
		case code == C.NITRO_EBUSY:
			b.wait()
		case code != C.NITRO_OK || !value:
			return dst, ci, errorOf(code)
		case int(ci.bytes) <= len(room):
			return dst[:len(dst)+int(ci.bytes)], ci, nil
		default:
			dst = slices.Grow(dst, int(ci.bytes))
		}
	}
}

// Set stores value under key, replacing what was there, its expiry included.
func (s *Store) Set(key, value []byte) error {
	_, err := s.set(key, value, 0, 0, 0)
	return err
}

// SetWith stores value under key if the conditions hold, and returns the new version.
func (s *Store) SetWith(key, value []byte, opt SetOptions) (version uint64, err error) {
	var flags C.uint
	if opt.IfAbsent {
		flags |= C.NITRO_SET_NX
	}
	if opt.IfExists {
		flags |= C.NITRO_SET_XX
	}
	if opt.KeepTTL {
		flags |= C.NITRO_SET_KEEPTTL
	}
	if opt.IfAbsent && opt.IfExists || opt.KeepTTL && !opt.Expire.IsZero() {
		return 0, ErrArgument
	}
	return s.set(key, value, flags, 0, millis(opt.Expire))
}

// CompareAndSwap stores value under key if the key's version is still `expected` (0: if the key does not exist), and
// returns the new version. ErrVersion says that somebody else was faster.
func (s *Store) CompareAndSwap(key, value []byte, expected uint64) (version uint64, err error) {
	return s.set(key, value, C.NITRO_SET_CAS, C.uint64_t(expected), 0)
}

func (s *Store) set(key, value []byte, flags C.uint, expected C.uint64_t, expire int64) (uint64, error) {
	var b backoff
	for {
		var ci C.struct_nitro_info
		t, err := s.enter()
		if err != nil {
			return 0, err
		}
		code := C.nitro_set(s.c, C.int64_t(s.Now()), pointer(key), C.size_t(len(key)), pointer(value),
			C.size_t(len(value)), flags, expected, C.int64_t(expire), &ci)
		s.gate.runlock(t)
		if code != C.NITRO_EBUSY {
			return uint64(ci.version), errorOf(code)
		}
		b.wait()
	}
}

// Delete removes key, or returns ErrNotFound.
func (s *Store) Delete(key []byte) error {
	var b backoff
	for {
		t, err := s.enter()
		if err != nil {
			return err
		}
		code := C.nitro_delete(s.c, C.int64_t(s.Now()), pointer(key), C.size_t(len(key)))
		s.gate.runlock(t)
		if code != C.NITRO_EBUSY {
			return errorOf(code)
		}
		b.wait()
	}
}

// Incr adds delta to the decimal number stored under key (a missing key counts as 0) and returns the sum.
// ErrNotNumber, ErrOverflow.
func (s *Store) Incr(key []byte, delta int64) (int64, error) {
	var b backoff
	for {
		var sum C.int64_t
		t, err := s.enter()
		if err != nil {
			return 0, err
		}
		code := C.nitro_incr(s.c, C.int64_t(s.Now()), pointer(key), C.size_t(len(key)), C.int64_t(delta), &sum)
		s.gate.runlock(t)
		if code != C.NITRO_EBUSY {
			return int64(sum), errorOf(code)
		}
		b.wait()
	}
}

// Expire makes key disappear at the given time; the zero time makes it stay. A time that has passed deletes the key.
// ErrNotFound.
func (s *Store) Expire(key []byte, at time.Time) error {
	var b backoff
	for {
		t, err := s.enter()
		if err != nil {
			return err
		}
		code := C.nitro_expire(s.c, C.int64_t(s.Now()), pointer(key), C.size_t(len(key)), C.int64_t(millis(at)))
		s.gate.runlock(t)
		if code != C.NITRO_EBUSY {
			return errorOf(code)
		}
		b.wait()
	}
}

// Flush removes every key at once; the memory is given back by the background work.
func (s *Store) Flush() error {
	s.gate.lock()
	defer s.gate.unlock()
	if s.closed.Load() {
		return ErrClosed
	}
	return errorOf(C.nitro_flush(s.c))
}

// millis is the engine's form of an expiry: 0 for never, else at least 1.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return max(t.UnixMilli(), 1)
}

func infoOf(ci *C.struct_nitro_info) Info {
	i := Info{Version: uint64(ci.version), Bytes: uint64(ci.bytes)}
	if ci.expire_ms != 0 {
		i.Expire = time.UnixMilli(int64(ci.expire_ms))
	}
	return i
}

// pointer returns the address of b's first byte for C, nil for an empty slice.
func pointer(b []byte) unsafe.Pointer {
	if len(b) == 0 {
		return nil
	}
	return unsafe.Pointer(&b[0])
}

// backoff is how Go waits for a segment that C found locked. The holder is inside a lock hold of microseconds
// on another thread, unless the kernel has taken its processor away: so yield a few times, then sleep, longer
// each time.
type backoff struct{ tries int }

const (
	backoffYields   = 32
	backoffSleepMin = 20 * time.Microsecond
	backoffSleepMax = time.Millisecond
)

func (b *backoff) wait() {
	b.tries++
	if b.tries <= backoffYields {
		runtime.Gosched()
		return
	}
	time.Sleep(min(backoffSleepMin<<min(b.tries-backoffYields-1, 10), backoffSleepMax))
}
