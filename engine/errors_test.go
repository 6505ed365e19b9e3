package engine

import (
	"errors"
	"fmt"
	"testing"
)

// TestErrorSentinels walks every code the C list knows and demands a sentinel, found by errors.Is through a wrap.
func TestErrorSentinels(t *testing.T) {
	sentinels := []error{ErrNotFound, ErrNotStored, ErrVersion, ErrFrame, ErrOpcode, ErrFlag, ErrExtension, ErrKeySize,
		ErrValueSize, ErrNotNumber, ErrOverflow, ErrArgument, ErrChecksum, ErrUnsupported, ErrChunk, ErrLimit,
		ErrAuthRequired, ErrAuthFailed, ErrBusy, ErrNoMemory, ErrMaxMemory, ErrShutdown, ErrLoading, ErrMaxClients,
		ErrLogFull, ErrReadOnly, ErrMoved, ErrUnknownOutcome, ErrInternal, ErrIO, ErrCorrupt, ErrInUse, ErrFormat,
		ErrNotDurable}
	byCode := map[Error]error{}
	for _, s := range sentinels {
		byCode[s.(Error)] = s
	}
	if len(byCode) != len(sentinels) {
		t.Errorf("%d sentinels share codes", len(sentinels)-len(byCode))
	}
	unknown := errorText(0xff)
	for code := 1; code < 0xff; code++ {
		known := errorText(Error(code)) != unknown
		s := byCode[Error(code)]
		if known != (s != nil) {
			t.Errorf("code %#x %q: in the C list: %v, has a sentinel: %v", code, errorText(Error(code)), known, s != nil)
		}
		if s != nil && !errors.Is(fmt.Errorf("wrapped: %w", Error(code)), s) {
			t.Errorf("code %#x is not found by errors.Is", code)
		}
	}
}
