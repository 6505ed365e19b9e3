package engine

/*
#include "nitro.h"
*/
import "C"

import (
	"bytes"
	"fmt"
	"unsafe"
)

// Error is a failure as the engine and the binary protocol number it; its text comes from the engine's own
// list. Every code has a sentinel below, to be compared with errors.Is: the errors of this package wrap them.
type Error uint8

// The sentinels. The high digit of a code is its class: 1 a normal negative answer, 2 the caller's fault, 3 identity,
// 4 surely not applied (trying again may help), 5 go elsewhere, 6 outcome unknown, 7 the engine's fault.
//
// CHECKLIST for a new code: NITRO_ERRORS in nitro.h, this list, proto.
const (
	ErrNotFound       Error = C.NITRO_ENOTFOUND
	ErrNotStored      Error = C.NITRO_ENOTSTORED
	ErrVersion        Error = C.NITRO_EVERSION
	ErrFrame          Error = C.NITRO_EFRAME
	ErrOpcode         Error = C.NITRO_EOPCODE
	ErrFlag           Error = C.NITRO_EFLAG
	ErrExtension      Error = C.NITRO_EEXTENSION
	ErrKeySize        Error = C.NITRO_EKEYSIZE
	ErrValueSize      Error = C.NITRO_EVALUESIZE
	ErrNotNumber      Error = C.NITRO_ENOTNUMBER
	ErrOverflow       Error = C.NITRO_EOVERFLOW
	ErrArgument       Error = C.NITRO_EARGUMENT
	ErrChecksum       Error = C.NITRO_ECHECKSUM
	ErrUnsupported    Error = C.NITRO_EUNSUPPORTED
	ErrChunk          Error = C.NITRO_ECHUNK
	ErrLimit          Error = C.NITRO_ELIMIT
	ErrAuthRequired   Error = C.NITRO_EAUTHREQUIRED
	ErrAuthFailed     Error = C.NITRO_EAUTHFAILED
	ErrBusy           Error = C.NITRO_EBUSY
	ErrNoMemory       Error = C.NITRO_ENOMEM
	ErrMaxMemory      Error = C.NITRO_EMAXMEMORY
	ErrShutdown       Error = C.NITRO_ESHUTDOWN
	ErrLoading        Error = C.NITRO_ELOADING
	ErrMaxClients     Error = C.NITRO_EMAXCLIENTS
	ErrLogFull        Error = C.NITRO_ELOGFULL
	ErrReadOnly       Error = C.NITRO_EREADONLY
	ErrMoved          Error = C.NITRO_EMOVED
	ErrUnknownOutcome Error = C.NITRO_EUNKNOWNOUTCOME
	ErrInternal       Error = C.NITRO_EINTERNAL
	ErrIO             Error = C.NITRO_EIO
	ErrCorrupt        Error = C.NITRO_ECORRUPT
	ErrInUse          Error = C.NITRO_EINUSE
	ErrFormat         Error = C.NITRO_EFORMAT
	ErrNotDurable     Error = C.NITRO_ENOTDURABLE
)

// Error returns the engine's text for the code.
func (e Error) Error() string { return "nitrokv: " + errorText(e) }

func errorText(e Error) string { return C.GoString(C.nitro_strerror(C.int(e))) }

// errorOf turns a result of the engine into an error; nil for success.
func errorOf(code C.int) error {
	if code == C.NITRO_OK {
		return nil
	}
	return Error(code)
}

// detailed is errorOf for the calls that tell more: what was attempted, on what, why, what to do.
func detailed(what string, code C.int, detail *C.struct_nitro_err) error {
	if code == C.NITRO_OK {
		return nil
	}
	// Not C.GoString: it would move every caller's detail to the heap.
	msg := unsafe.Slice((*byte)(unsafe.Pointer(&detail.msg[0])), len(detail.msg))
	if text := string(msg[:max(bytes.IndexByte(msg, 0), 0)]); text != "" {
		return fmt.Errorf("engine: %s: %s: %w", what, text, Error(code))
	}
	return fmt.Errorf("engine: %s: %w", what, Error(code))
}
