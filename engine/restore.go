package engine

/*
#include <stdlib.h>
#include "nitro.h"

void nitrokv_progress(void *ctx, uint64_t done, uint64_t total);
*/
import "C"

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"runtime"
	"runtime/cgo"
	"time"
	"unsafe"
)

// RestoreOptions say what Restore makes a new folder from, and as of when.
type RestoreOptions struct {
	// From is a data folder that no process has open, a snapshot, or a backup.
	From string
	Dir  string // the new data folder; it must not hold a store
	// ToLSN and ToTime are the point: whichever is earlier. 0 and the zero time: the newest.
	ToLSN  uint64
	ToTime time.Time
	// KeepExpired keeps keys that have run out since the point, and drops their expiry. Without it they are gone.
	KeepExpired bool
	// Compression is that of the snapshot that the new folder begins with, in ModeMemory. 0: CompressionZstd.
	Compression Compression
	// MaxFileBytes is the size of one data file of the new folder, in ModeBitcask: see Options.MaxFileBytes. 0: 1 GiB.
	MaxFileBytes int64
	// Progress is told now and then how many bytes of how many have been read. Nil: nobody is.
	Progress func(done, total uint64)
}

// RestoreResult says what Restore has reached, and what it could have reached.
type RestoreResult struct {
	LSN     uint64    // the newest in the new store
	Time    time.Time // when it was; zero: the store is empty
	Keys    uint64    // in the new store
	Expired uint64    // of these, how many have lost their expiry

	FirstLSN, LastLSN   uint64 // the window: what could have been asked for
	FirstTime, LastTime time.Time
}

// Restore makes a new data folder with the store of another one, or of a snapshot or backup, as it was at a point in time: a
// batch is there as a whole or not at all. The new one has the mode of the origin. It needs as much memory as the store: in
// ModeBitcask that of its keys. The origin is not changed.
//
// ErrArgument: the point lies outside of the window, which the result holds, the new folder holds a store, or it would get more
// data files than a store can have.
// ErrNotFound: there is no origin. ErrInUse, ErrFormat, ErrCorrupt, ErrIO, ErrNoMemory. After an error the new folder
// holds no store.
func Restore(opt RestoreOptions) (RestoreResult, error) {
	if err := opt.check(); err != nil {
		return RestoreResult{}, err
	}
	file, err := isFile(opt.From)
	if err != nil {
		return RestoreResult{}, err
	}
	var copt C.struct_nitro_restore_options
	copt.from, copt.dir = C.CString(opt.From), C.CString(opt.Dir)
	defer C.free(unsafe.Pointer(copt.from))
	defer C.free(unsafe.Pointer(copt.dir))
	if file {
		copt.from_file = 1
	}
	copt.to_lsn, copt.to_ms = math.MaxUint64, math.MaxInt64
	if opt.ToLSN != 0 {
		copt.to_lsn = C.uint64_t(opt.ToLSN)
	}
	if !opt.ToTime.IsZero() {
		copt.to_ms = C.int64_t(opt.ToTime.UnixMilli())
	}
	if opt.KeepExpired {
		copt.keep_expired = 1
	}
	copt.now_ms = C.int64_t(time.Now().UnixMilli())
	copt.compression = opt.Compression.number()
	copt.file_bytes = C.uint64_t(opt.MaxFileBytes)
	// crypto/rand.Read never fails: it would crash the program first.
	_, _ = rand.Read(unsafe.Slice((*byte)(unsafe.Pointer(&copt.seed[0])), len(copt.seed)))
	var out C.struct_nitro_restore_result
	var e C.struct_nitro_err
	err = withProgress(opt.Progress, func(ctx unsafe.Pointer, fn progressFunc) error {
		copt.progress, copt.ctx = fn, ctx
		return detailed("restore", C.nitro_restore(&copt, &out, &e), &e)
	})
	return restoreResult(&out), err
}

func (o RestoreOptions) check() error {
	switch {
	case o.Dir == "":
		return fmt.Errorf("engine: restore: no folder is named to restore to: %w", ErrArgument)
	case o.Compression > CompressionNone:
		return fmt.Errorf("engine: restore: %v, want zstd, lz4 or none: %w", o.Compression, ErrArgument)
	case o.MaxFileBytes != 0 && (o.MaxFileBytes < minFileBytes || o.MaxFileBytes > maxFileBytes):
		return fmt.Errorf("engine: restore: data files of %d bytes, want 64 KiB to %d bytes (4 GiB less 4 MiB): %w", o.MaxFileBytes,
			int64(maxFileBytes), ErrArgument)
	case !o.ToTime.IsZero() && o.ToTime.UnixMilli() < 0:
		return fmt.Errorf("engine: restore: to %v, which is before 1970: %w", o.ToTime, ErrArgument)
	}
	return nil
}

// isFile reports whether the origin of a restore is a file and no folder.
func isFile(path string) (bool, error) {
	st, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, fmt.Errorf("engine: restore: there is no %s: %w", path, ErrNotFound)
	case err != nil:
		return false, fmt.Errorf("engine: restore: %w: %w", ErrIO, err)
	}
	return !st.IsDir(), nil
}

func restoreResult(c *C.struct_nitro_restore_result) RestoreResult {
	return RestoreResult{
		LSN: uint64(c.lsn), Time: timeOf(c.time_ms), Keys: uint64(c.keys), Expired: uint64(c.expired),
		FirstLSN: uint64(c.first_lsn), LastLSN: uint64(c.last_lsn),
		FirstTime: timeOf(c.first_ms), LastTime: timeOf(c.last_ms),
	}
}

// DamageError says where a file is damaged.
type DamageError struct {
	File   string // as it was named; of a folder, the text names the file in it
	Offset uint64 // in that file; of a backup of ModeBitcask, in the archive
	Err    error  // what is wrong
}

// Error returns the text of what is wrong, which names the place as well.
func (e *DamageError) Error() string { return e.Err.Error() }

// Unwrap returns what is wrong; it is an ErrCorrupt.
func (e *DamageError) Unwrap() error { return e.Err }

// VerifySnapshot reads a whole snapshot or backup back and compares it with what its end says about its contents; of one of
// ModeBitcask, a folder or an archive, it reads every record, and counts: that takes the memory that its keys take, and a folder
// may be a data folder, too. progress, which may be nil, is told now and then how many bytes of how many have been read.
// A *DamageError, which is an ErrCorrupt, says where it is damaged; ErrNotFound, ErrFormat (no snapshot, or a newer format),
// ErrUnsupported (a data folder of ModeMemory, which Check reads), ErrInUse, ErrIO, ErrNoMemory.
func VerifySnapshot(path string, progress func(done, total uint64)) (SnapshotInfo, error) {
	file := C.CString(path)
	defer C.free(unsafe.Pointer(file))
	var out C.struct_nitro_snapshot_info
	var bad C.uint64_t
	var e C.struct_nitro_err
	err := withProgress(progress, func(ctx unsafe.Pointer, fn progressFunc) error {
		return detailed("verify", C.nitro_verify(file, nil, nil, fn, ctx, &out, &bad, &e), &e)
	})
	switch {
	case errors.Is(err, ErrCorrupt):
		return SnapshotInfo{}, &DamageError{File: path, Offset: uint64(bad), Err: err}
	case err != nil:
		return SnapshotInfo{}, err
	}
	return snapshotInfo(&out), nil
}

// progressFunc is the type of the callback that is told the progress.
type progressFunc = *[0]byte

// withProgress makes a call of the engine that tells fn its progress through the callback and context which it hands
// to the call.
func withProgress(fn func(done, total uint64), call func(ctx unsafe.Pointer, callback progressFunc) error) error {
	if fn == nil {
		return call(nil, nil)
	}
	handle := cgo.NewHandle(fn)
	defer handle.Delete()
	var pin runtime.Pinner // C keeps the pointer to the handle for as long as the call lasts
	defer pin.Unpin()
	pin.Pin(&handle)
	return call(unsafe.Pointer(&handle), progressFunc(C.nitrokv_progress))
}

// nitrokv_progress is called by nitro_restore and nitro_verify; ctx points to the handle of the caller's function.
//
//export nitrokv_progress
func nitrokv_progress(ctx unsafe.Pointer, done, total C.uint64_t) {
	(*(*cgo.Handle)(ctx)).Value().(func(done, total uint64))(uint64(done), uint64(total))
}
