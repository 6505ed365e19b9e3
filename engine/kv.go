package engine

/*
#include "nitro.h"
*/
import "C"

import (
	"runtime"
	"syscall"
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

// Get appends the value of key to dst and returns the extended slice. ErrNotFound leaves dst as it was. In ModeBitcask
// also ErrCorrupt, ErrIO: the value of this key can't be read; others can.
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
	var ci C.struct_nitro_info
	err := s.write(key, len(value), &ci, func() C.int {
		return C.nitro_set(s.c, C.int64_t(s.Now()), pointer(key), C.size_t(len(key)), pointer(value),
			C.size_t(len(value)), flags, expected, C.int64_t(expire), &ci)
	})
	if err != nil {
		return 0, err
	}
	return uint64(ci.version), nil
}

// Delete removes key, or returns ErrNotFound.
func (s *Store) Delete(key []byte) error {
	var ci C.struct_nitro_info
	return s.write(key, 0, &ci, func() C.int {
		return C.nitro_delete(s.c, C.int64_t(s.Now()), pointer(key), C.size_t(len(key)), &ci)
	})
}

// Incr adds delta to the decimal number stored under key (a missing key counts as 0) and returns the sum.
// ErrNotNumber, ErrOverflow.
func (s *Store) Incr(key []byte, delta int64) (int64, error) {
	var ci C.struct_nitro_info
	var sum C.int64_t
	err := s.write(key, incrDigits, &ci, func() C.int {
		return C.nitro_incr(s.c, C.int64_t(s.Now()), pointer(key), C.size_t(len(key)), C.int64_t(delta), &sum, &ci)
	})
	if err != nil {
		return 0, err
	}
	return int64(sum), nil
}

// incrDigits is the longest value that Incr stores.
const incrDigits = len("-9223372036854775808")

// Expire makes key disappear at the given time; the zero time makes it stay. A time that has passed deletes the key.
// ErrNotFound.
func (s *Store) Expire(key []byte, at time.Time) error {
	var ci C.struct_nitro_info
	return s.write(key, 0, &ci, func() C.int {
		return C.nitro_expire(s.c, C.int64_t(s.Now()), pointer(key), C.size_t(len(key)), C.int64_t(millis(at)), &ci)
	})
}

// Op is one change of a batch: a put, or with Delete a delete.
type Op struct {
	Key, Value []byte
	Expire     time.Time // zero: never
	Delete     bool
}

// Write makes all the changes as one: nobody sees a part of them, and all of them or none survive. Of several changes
// of one key the last one counts. Deleting a key that does not exist is no error.
func (s *Store) Write(ops []Op) error {
	if len(ops) == 0 {
		return nil
	}
	var pins runtime.Pinner // C sees these bytes through pointers that lie in Go memory
	defer pins.Unpin()
	cops := make([]C.struct_nitro_op, len(ops))
	keys, values := 0, 0
	for i := range ops {
		keys += len(ops[i].Key)
		values += len(ops[i].Value) + int(C.nitro_log_need(0, 0))
		fillOp(&cops[i], &ops[i], &pins)
	}
	var ci C.struct_nitro_info
	return s.logged(nil, keys+values, &ci, func() (C.int, error) {
		return s.try(func() C.int {
			return C.nitro_write(s.c, C.int64_t(s.Now()), &cops[0], C.uint32_t(len(cops)), &ci)
		})
	})
}

func fillOp(c *C.struct_nitro_op, op *Op, pins *runtime.Pinner) {
	c.key, c.key_bytes = pinned(op.Key, pins), C.size_t(len(op.Key))
	if op.Delete {
		c.remove = 1
		return
	}
	c.value, c.value_bytes = pinned(op.Value, pins), C.size_t(len(op.Value))
	c.expire_ms = C.int64_t(millis(op.Expire))
}

func pinned(b []byte, pins *runtime.Pinner) unsafe.Pointer {
	if len(b) > 0 {
		pins.Pin(&b[0])
	}
	return pointer(b)
}

// Flush removes every key at once; the memory is given back by the background work.
func (s *Store) Flush() error {
	var ci C.struct_nitro_info
	return s.logged(nil, 0, &ci, func() (C.int, error) {
		var b backoff
		for {
			code, err := s.flush(&ci)
			if err != nil || code != C.NITRO_EBUSY {
				return code, err
			}
			b.wait() // a writer, who needs no gate, is about to begin
		}
	})
}

func (s *Store) flush(ci *C.struct_nitro_info) (C.int, error) {
	s.gate.lock()
	defer s.gate.unlock()
	if s.closed.Load() {
		return 0, ErrClosed
	}
	code := C.nitro_flush(s.c, ci)
	if code == C.NITRO_OK {
		s.flushes.Add(1)
	}
	return code, nil
}

// write is try for calls that change one key and leave in *ci what they did.
func (s *Store) write(key []byte, valueBytes int, ci *C.struct_nitro_info, call func() C.int) error {
	return s.logged(key, valueBytes, ci, func() (C.int, error) { return s.try(call) })
}

// try calls into the engine, with the gate shared, until the segment is free.
func (s *Store) try(call func() C.int) (C.int, error) {
	var b backoff
	for {
		t, err := s.enter()
		if err != nil {
			return 0, err
		}
		code := call()
		s.gate.runlock(t)
		if code != C.NITRO_EBUSY {
			return code, nil
		}
		b.wait()
	}
}

// logged makes room in the log for what attempt is about to do, and then waits as the store's level says. The key is nil
// for what changes several.
func (s *Store) logged(key []byte, valueBytes int, ci *C.struct_nitro_info, attempt func() (C.int, error)) error {
	s.Throttle(s.level)
	for {
		code, err := attempt()
		if err != nil {
			return err
		}
		if code != C.NITRO_ELOGFULL {
			return s.wrote(code, key, ci)
		}
		// An expiry writes a value anew that lies on disk; only the engine knows its size.
		bytes := max(C.size_t(valueBytes), C.size_t(ci.bytes))
		if err := s.MakeRoom(uint64(C.nitro_log_need(C.size_t(len(key)), bytes))); err != nil {
			return err
		}
	}
}

// wrote waits for the effect of a call that should have changed something, and for what it shows if it hasn't.
func (s *Store) wrote(code C.int, key []byte, ci *C.struct_nitro_info) error {
	switch code {
	case C.NITRO_OK:
		if err := s.await(max(uint64(ci.version), uint64(ci.shown_lsn))); err != nil {
			return s.commit.unknown(err)
		}
		return nil
	case C.NITRO_EREADONLY:
		return s.commit.readOnly()
	}
	return s.shown(code, key, ci)
}

// shown waits until what a call has found is as safe as the store's level demands, a miss or a refusal included.
func (s *Store) shown(code C.int, key []byte, ci *C.struct_nitro_info) error {
	if err := s.await(uint64(ci.shown_lsn)); err != nil {
		return err
	}
	return keyError(code, key)
}

// await waits for an LSN as the store's level says.
func (s *Store) await(lsn uint64) error {
	if s.commit.durable.Load() >= lsn {
		return nil
	}
	if s.level == LevelAlways {
		return s.waitDurable(lsn)
	}
	return s.WaitWritten(lsn, s.level)
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

// backoff is how Go waits for a lock that C found held. The holder is inside a lock hold of microseconds on another
// thread, unless the kernel has given its processor to somebody else. So let other goroutines run a few times, then
// other threads, the holder perhaps among them, and then sleep, longer each time.
type backoff struct{ tries int }

const (
	backoffGosched  = 4  // tries
	backoffYields   = 32 // tries, those included
	backoffSleepMin = 20 * time.Microsecond
	backoffSleepMax = time.Millisecond
)

func (b *backoff) wait() {
	b.tries++
	switch {
	case b.tries <= backoffGosched:
		runtime.Gosched()
		return
	case b.tries <= backoffYields:
		_, _, _ = syscall.RawSyscall(syscall.SYS_SCHED_YIELD, 0, 0, 0) // it always succeeds on Linux
		return
	}
	time.Sleep(min(backoffSleepMin<<min(b.tries-backoffYields-1, 10), backoffSleepMax))
}
