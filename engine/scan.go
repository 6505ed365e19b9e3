package engine

/*
#include "nitro.h"
#include <string.h>

// The scan hands each key to a callback that must only copy. Copying here, in C, keeps Go out of the segment's
// lock: one call gathers a part of the store in the caller's buffer as {version u64, expire i64, bytes u64, key
// length u64, key, padded to 8}. What doesn't fit is only counted, and the caller comes back with a larger
// buffer.
struct scan_sink {
    unsigned char *buf;
    size_t cap, used;
};

static void scan_collect(void *ctx, const void *key, size_t key_bytes,
                         const struct nitro_info *info) {
    struct scan_sink *s = ctx;
    uint64_t head[4] = {info->version, (uint64_t)info->expire_ms, info->bytes, key_bytes};
    size_t need = sizeof head + ((key_bytes + 7) & ~(size_t)7);
    if (need <= s->cap && s->used <= s->cap - need) {
        memcpy(s->buf + s->used, head, sizeof head);
        if (key_bytes != 0) memcpy(s->buf + s->used + sizeof head, key, key_bytes);
    }
    s->used += need;
}

static int scan_part(nitro_store *s, int64_t now_ms, uint64_t *cursor, uint32_t count, void *buf,
                     size_t cap, size_t *used, uint64_t *shown) {
    struct scan_sink sink = {buf, cap, 0};
    int code = nitro_scan(s, now_ms, cursor, count, scan_collect, &sink, shown);
    *used = sink.used;
    return code;
}
*/
import "C"

import (
	"encoding/binary"
	"errors"
	"iter"
	"time"
)

// Entry is one key found by Scan.
type Entry struct {
	Key []byte // valid until the next step of the iteration
	Info
}

const (
	scanCount  = 128       // keys asked for per call into C
	scanBuffer = 16 * 1024 // grows when one call finds more
	scanHead   = 32        // bytes before each key in the buffer
)

// Item is one key found by Items.
type Item struct {
	Entry
	Value []byte // valid until the next step of the iteration
}

// itemKeep is the largest value for which the buffer is used again.
const itemKeep = 1 << 20

// Scan iterates over the keys in no particular order. A key that is present from the start to the end is
// visited, one that comes or goes meanwhile may be, and in rare cases a key comes twice. No lock is held while
// the loop's body runs. An error ends the iteration, unless it comes with a key: then the value of that key alone can't be
// read, and the loop may go on. In ModeBitcask each key costs a read of its record.
func (s *Store) Scan() iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		err := s.scan(func(e Entry) bool { return s.yieldEntry(e, yield) })
		if err != nil {
			yield(Entry{}, err)
		}
	}
}

// Items is Scan with the values: the same keys, and the same errors. In ModeBitcask that costs no more reads. With
// ManualSteps, and while nobody writes, no key comes twice.
func (s *Store) Items() iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		var value []byte
		err := s.scan(func(e Entry) bool {
			if cap(value) > itemKeep {
				value = nil
			}
			return s.yieldItem(e, &value, yield)
		})
		if err != nil {
			yield(Item{}, err)
		}
	}
}

// scan hands every key to a function, as the engine knows it without a look at its record, until that returns false.
func (s *Store) scan(found func(Entry) bool) error {
	buf := make([]byte, scanBuffer)
	for cursor := uint64(0); ; {
		used, err := s.scanPart(&cursor, &buf)
		if err != nil {
			return err
		}
		if !eachEntry(buf[:used], found) || cursor == 0 {
			return nil
		}
	}
}

// scanPart fills *buf with the entries after *cursor, moves it, and waits until what it has found may be shown.
func (s *Store) scanPart(cursor *uint64, buf *[]byte) (used int, err error) {
	for {
		next, need, shown := C.uint64_t(*cursor), C.size_t(0), C.uint64_t(0)
		code, err := s.try(func() C.int {
			return C.scan_part(s.c, C.int64_t(s.Now()), &next, scanCount, pointer(*buf), C.size_t(len(*buf)),
				&need, &shown)
		})
		if err != nil {
			return 0, err
		}
		if code != C.NITRO_OK {
			return 0, errorOf(code)
		}
		if int(need) > len(*buf) {
			*buf = make([]byte, 2*int(need))
			continue
		}
		if err := s.await(uint64(shown)); err != nil {
			return 0, err
		}
		*cursor = uint64(next)
		return int(need), nil
	}
}

// eachEntry returns false if found has.
func eachEntry(b []byte, found func(Entry) bool) bool {
	for len(b) > 0 {
		n := int(binary.NativeEndian.Uint64(b[24:]))
		e := Entry{Key: b[scanHead : scanHead+n : scanHead+n]}
		e.Version = binary.NativeEndian.Uint64(b)
		e.Bytes = binary.NativeEndian.Uint64(b[16:])
		if ms := int64(binary.NativeEndian.Uint64(b[8:])); ms != 0 {
			e.Expire = time.UnixMilli(ms)
		}
		if !found(e) {
			return false
		}
		b = b[scanHead+(n+7)&^7:]
	}
	return true
}

// yieldEntry completes an entry whose value lies on disk: the scan knows no version of it. It reports whether to go on.
func (s *Store) yieldEntry(e Entry, yield func(Entry, error) bool) bool {
	if e.Version != 0 {
		return yield(e, nil)
	}
	info, err := s.Info(e.Key)
	switch {
	case err == nil:
		e.Info = info
		return yield(e, nil)
	case errors.Is(err, ErrNotFound): // it has gone meanwhile
		return true
	case ofOneValue(err):
		return yield(Entry{Key: e.Key}, err)
	}
	yield(Entry{}, err)
	return false
}

// yieldItem reads the value of an entry into *value. It reports whether to go on.
func (s *Store) yieldItem(e Entry, value *[]byte, yield func(Item, error) bool) bool {
	got, info, err := s.GetInfo((*value)[:0], e.Key)
	switch {
	case err == nil:
		*value = got
		return yield(Item{Entry{e.Key, info}, got}, nil)
	case errors.Is(err, ErrNotFound): // it has gone meanwhile
		return true
	case ofOneValue(err):
		return yield(Item{Entry: Entry{Key: e.Key}}, err)
	}
	yield(Item{}, err)
	return false
}
