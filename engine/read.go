package engine

/*
#include "nitro.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"slices"
)

// get repeats while the value is larger than the room behind dst: it may change between two tries.
func (s *Store) get(dst, key []byte, value bool) ([]byte, C.struct_nitro_info, error) {
	for {
		var ci C.struct_nitro_info
		room, code, err := s.lookUp(dst, key, value, &ci)
		dst = room
		if n := int(ci.bytes); err == nil && code == C.NITRO_OK && value && n > cap(dst)-len(dst) {
			dst = slices.Grow(dst, n)
			continue
		}
		if err == nil {
			err = s.shown(code, key, &ci)
		}
		switch {
		case err != nil:
			return dst, C.struct_nitro_info{}, err
		case value:
			return dst[:len(dst)+int(ci.bytes)], ci, nil
		}
		return dst, ci, nil
	}
}

// lookUp finds the value and, if that is asked for, copies it behind dst as far as there is room. It returns dst, with
// more room if it was surely too little.
func (s *Store) lookUp(dst, key []byte, value bool, ci *C.struct_nitro_info) ([]byte, C.int, error) {
	var b backoff
	for {
		t, err := s.enter()
		if err != nil {
			return dst, 0, err
		}
		var room []byte
		if value {
			room = dst[len(dst):cap(dst)]
		}
		var away C.struct_nitro_away
		code := C.nitro_get_away(s.c, C.int64_t(s.Now()), pointer(key), C.size_t(len(key)),
			pointer(room), C.size_t(len(room)), ci, &away)
		if code == C.NITRO_AWAY {
			t.reads.RLock()
			s.gate.runlock(t)
			dst, code = s.fetch(dst, key, value, ci, &away)
			t.reads.RUnlock()
			if away.keep != 0 {
				s.keep(key, dst[len(dst):cap(dst)], ci, &away)
			}
			return dst, code, nil
		}
		s.gate.runlock(t)
		if code != C.NITRO_EBUSY {
			return dst, code, nil
		}
		b.wait()
	}
}

// fetch is lookUp for a value that lies on disk, where nitro_get_away has found it.
func (s *Store) fetch(dst, key []byte, value bool, ci *C.struct_nitro_info, away *C.struct_nitro_away) ([]byte, C.int) {
	var room []byte
	if value {
		// It would be read in vain with too little room. How large it is at least: its record has the key in it, and a
		// head, and the size that is known of large ones is rounded.
		if most := int(away.bytes); most-most/64-len(key)-64 > cap(dst)-len(dst) {
			dst = slices.Grow(dst, most)
		}
		room = dst[len(dst):cap(dst)]
	}
	shown := ci.shown_lsn
	code := C.nitro_fetch(s.c, pointer(key), C.size_t(len(key)), pointer(room), C.size_t(len(room)), ci, away)
	ci.shown_lsn = shown
	return dst, code
}

// keep caches the value that fetch has read, which lies at the begin of room. With a store that has been closed since,
// there is nothing to be done.
func (s *Store) keep(key, room []byte, ci *C.struct_nitro_info, away *C.struct_nitro_away) {
	t, err := s.enter()
	if err != nil {
		return
	}
	C.nitro_keep(s.c, C.int64_t(s.Now()), pointer(key), C.size_t(len(key)), pointer(room), ci, away)
	s.gate.runlock(t)
}

// keyError is errorOf, and tells of which key the value can't be read.
func keyError(code C.int, key []byte) error {
	var why string
	switch code {
	case C.NITRO_ECORRUPT:
		why = "is damaged, nothing of it is shown; write the key anew, delete it, or take it from a backup"
	case C.NITRO_EIO:
		why = "could not be read; look at the disk and at the kernel's messages"
	default:
		return errorOf(code)
	}
	return fmt.Errorf("engine: the record of key %q in the data folder %s: %w", string(key), why, Error(code))
}

// ofOneValue reports whether the error is about the record of one key, and not about the store.
func ofOneValue(err error) bool {
	return (errors.Is(err, ErrCorrupt) || errors.Is(err, ErrIO)) && !errors.Is(err, ErrNotDurable)
}
