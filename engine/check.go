package engine

/*
#include <stdlib.h>
#include "nitro.h"

// The type of the callback as nitro.h has it: C says "const" here, and Go can't.
typedef const struct nitro_finding const_finding;
void nitrokv_finding(void *ctx, const_finding *f);
*/
import "C"

import (
	"crypto/rand"
	"runtime"
	"runtime/cgo"
	"time"
	"unsafe"
)

// CheckOptions says which folder Check looks at, and how.
type CheckOptions struct {
	Dir    string        // the data folder
	Repair bool          // repair it if there is damage
	Found  func(Finding) // called for each thing that is wrong, in the order in which they are found. Nil: only the result
}

// Finding is something that Check has found.
type Finding struct {
	Damage bool   // the store does not start with it; else harmless, the next start deals with it
	File   string // its name in the folder
	Offset uint64
	LSN    uint64 // 0: it is not about a record
	Text   string
}

// CheckResult sums a folder up.
type CheckResult struct {
	Files, Bytes   uint64 // log files that count, and what was read of them
	Records        uint64 // valid, before the first that is not
	LastLSN        uint64 // of these; 0: there are none
	DurableLSN     uint64 // what was durable, as far as anything in the folder knows
	BadLSN         uint64 // the first record that was durable and is not there; 0: none
	BadFile        uint64
	BadOffset      uint64
	Snapshots      uint64 // that are listed and sound
	SnapshotLSN    uint64 // of the newest of them: a start needs no record up to it; 0: there is none
	DropRecords    uint64 // what a repair drops or has dropped; without damage, what the next start drops
	DropBytes      uint64
	Damages, Notes int       // findings
	Mode           Mode      // of the folder
	Repairable     bool      // there is damage, and a repair is possible
	Starts         bool      // there is damage, and the store starts with it: reads of what is damaged are errors
	Clean          bool      // the last stop was clean
	Repaired       bool      // there was damage, and the store starts again
	RepairedAt     time.Time // names what the repair has kept: NAME.bak-<milliseconds>
}

// Check verifies every record of a data folder that no process has open. Damage is no error but a result; an error means
// that the folder could not be checked or repaired: ErrNotFound (it holds no store), ErrInUse, ErrFormat, ErrIO,
// ErrNoMemory, ErrCorrupt (it can't be repaired). Without Repair nothing in it is changed.
//
// A repair keeps the records before the first one that is damaged or missing, and drops the rest. Files that it changes
// or drops stay in the folder under another name.
func Check(opt CheckOptions) (CheckResult, error) {
	now := time.Now()
	dir := C.CString(opt.Dir)
	defer C.free(unsafe.Pointer(dir))
	found := cgo.NewHandle(opt.Found)
	defer found.Delete()
	var pin runtime.Pinner // C keeps the pointer to the handle for as long as the call lasts
	defer pin.Unpin()
	pin.Pin(&found)

	var copt C.struct_nitro_check_options
	copt.dir = dir
	copt.now_ms = C.int64_t(now.UnixMilli())
	copt.ctx = unsafe.Pointer(&found)
	if opt.Repair {
		copt.repair = 1
	}
	if opt.Found != nil {
		copt.found = (*C.nitro_finding_fn)(C.nitrokv_finding)
	}
	// crypto/rand.Read never fails: it would crash the program first.
	_, _ = rand.Read(unsafe.Slice((*byte)(unsafe.Pointer(&copt.seed[0])), len(copt.seed)))
	var r C.struct_nitro_check_result
	var e C.struct_nitro_err
	if err := detailed("check", C.nitro_check(&copt, &r, &e), &e); err != nil {
		return CheckResult{}, err
	}
	return checkResult(&r, now), nil
}

func checkResult(r *C.struct_nitro_check_result, now time.Time) CheckResult {
	out := CheckResult{
		Files: uint64(r.files), Bytes: uint64(r.bytes), Records: uint64(r.records), LastLSN: uint64(r.last_lsn),
		DurableLSN: uint64(r.durable_lsn), BadLSN: uint64(r.bad_lsn), BadFile: uint64(r.bad_file),
		BadOffset: uint64(r.bad_offset), Snapshots: uint64(r.snapshots), SnapshotLSN: uint64(r.snapshot_lsn),
		DropRecords: uint64(r.drop_records), DropBytes: uint64(r.drop_bytes),
		Damages: int(r.damages), Notes: int(r.notes), Clean: r.clean != 0, Repaired: r.repaired != 0,
		Mode: Mode(r.mode), Repairable: r.repairable != 0, Starts: r.starts != 0,
	}
	if out.Repaired {
		out.RepairedAt = now
	}
	return out
}

// nitrokv_finding is called by nitro_check; ctx points to the handle of CheckOptions.Found.
//
//export nitrokv_finding
func nitrokv_finding(ctx unsafe.Pointer, f *C.const_finding) {
	(*(*cgo.Handle)(ctx)).Value().(func(Finding))(Finding{
		Damage: f.severity == C.NITRO_CHECK_DAMAGE, File: C.GoString(f.file), Offset: uint64(f.offset), LSN: uint64(f.lsn),
		Text: C.GoString(f.text),
	})
}
