package client

import (
	"errors"
	"fmt"

	"github.com/nitrokv/nitrokv/proto"
)

// What calls fail with, for errors.Is. Every error of a call is an *Error around one of these, around a
// context's error, or around what the network said.
var (
	ErrNotFound        = errors.New("nitrokv: no such key")
	ErrNotStored       = errors.New("nitrokv: the condition does not hold, nothing was stored")
	ErrVersionMismatch = errors.New("nitrokv: the version differs from the expected one")
	ErrNotNumber       = errors.New("nitrokv: value or increment is not a number of the kind that is added")
	ErrOverflow        = errors.New("nitrokv: the increment would overflow")
	ErrInvalid         = errors.New("nitrokv: invalid argument")
	ErrTooLarge        = errors.New("nitrokv: key, value or request is larger than the limit")
	ErrUnsupported     = errors.New("nitrokv: not supported by this server")
	ErrUnauthorized    = errors.New("nitrokv: not authenticated")
	ErrBusy            = errors.New("nitrokv: the server is busy, nothing was applied")
	ErrOutOfMemory     = errors.New("nitrokv: the server is out of memory, nothing was applied")
	ErrLoading         = errors.New("nitrokv: the server is loading its data, nothing was applied")
	ErrLogFull         = errors.New("nitrokv: the server has no room for its log, nothing was applied")
	ErrReadOnly        = errors.New("nitrokv: the server's log has failed, it takes no writes, nothing was applied")
	ErrNotDurable      = errors.New("nitrokv: the server's log failed before this was durable")
	ErrOutcomeUnknown  = errors.New("nitrokv: the outcome is unknown, the write may have been applied")
	ErrClosed          = errors.New("nitrokv: the client is closed")

	// ErrNotNitroKV means that whatever answers at the address does not speak the protocol.
	ErrNotNitroKV = errors.New("nitrokv: not a NitroKV server")

	// ErrConnection means that the connection could not be made, or broke. The network's error is in
	// the chain too.
	ErrConnection = errors.New("nitrokv: connection failed")
)

// Error says which call failed on which key and why.
type Error struct {
	Op      string       // the request's name in the protocol: "GET", "SET", …
	Key     string       // the first key of the request; empty if it has none
	Status  proto.Status // what the server answered, proto.OK if the failure was on this side
	Message string       // the server's words, if it sent any
	Err     error        // the cause on this side: a context's error, the network's, ErrClosed, …

	unknown bool // a write that may have been applied
}

const keyShown = 64 // bytes of a key in an error's text

// Error implements error.
func (e *Error) Error() string {
	s := "nitrokv: " + e.Op
	switch {
	case len(e.Key) > keyShown:
		s += fmt.Sprintf(" %q…", e.Key[:keyShown])
	case e.Key != "":
		s += fmt.Sprintf(" %q", e.Key)
	}
	if e.unknown {
		s += ": the outcome is unknown, the write may have been applied"
	}
	switch {
	case e.Err != nil:
		s += ": " + e.Err.Error()
	case e.Message != "":
		s += ": " + e.Message
	default:
		s += ": " + e.Status.Error()
	}
	return s
}

// Unwrap leads to the cause, and to the status if the server sent one.
func (e *Error) Unwrap() []error {
	var chain []error
	if e.Err != nil {
		chain = append(chain, e.Err)
	}
	if e.Status != proto.OK {
		chain = append(chain, e.Status)
	}
	return chain
}

// sentinels maps the statuses that have an Err… variable. Several may share one.
var sentinels = map[proto.Status]error{
	proto.ENOTFOUND:     ErrNotFound,
	proto.ENOTSTORED:    ErrNotStored,
	proto.EVERSION:      ErrVersionMismatch,
	proto.ENOTNUMBER:    ErrNotNumber,
	proto.EOVERFLOW:     ErrOverflow,
	proto.EARGUMENT:     ErrInvalid,
	proto.EKEYSIZE:      ErrTooLarge,
	proto.EVALUESIZE:    ErrTooLarge,
	proto.ELIMIT:        ErrTooLarge,
	proto.EUNSUPPORTED:  ErrUnsupported,
	proto.EOPCODE:       ErrUnsupported,
	proto.EAUTHREQUIRED: ErrUnauthorized,
	proto.EAUTHFAILED:   ErrUnauthorized,
	proto.EBUSY:         ErrBusy,
	proto.ENOMEM:        ErrOutOfMemory,
	proto.EMAXMEMORY:    ErrOutOfMemory,
	proto.ELOADING:      ErrLoading,
	proto.ELOGFULL:      ErrLogFull,
	proto.EREADONLY:     ErrReadOnly,
	proto.ENOTDURABLE:   ErrNotDurable,
}

// Is makes the Err… variables match. A status that this version does not know matches by its class where a
// class has a variable of its own.
func (e *Error) Is(target error) bool {
	if target == ErrOutcomeUnknown {
		return e.unknown
	}
	if s, ok := sentinels[e.Status]; ok {
		return s == target
	}
	return !e.Status.Known() && e.Status.Class() == proto.ClassNotApplied && target == ErrBusy
}

// statusError turns a reply that is not ok into an error.
func statusError(r *request, s proto.Status, text string) error {
	return &Error{Op: r.op.String(), Key: r.firstKey(), Status: s, Message: text,
		unknown: r.op.Writes() && s.Class() >= proto.ClassUnknown}
}

// localError wraps a failure on this side; unknown says that the request may have reached the server.
func localError(r *request, cause error, unknown bool) error {
	return &Error{Op: r.op.String(), Key: r.firstKey(), Err: cause, unknown: unknown && r.op.Writes()}
}

// invalid says what is wrong with the arguments of a call.
func invalid(r *request, format string, args ...any) error {
	return localError(r, fmt.Errorf("%w: "+format, append([]any{ErrInvalid}, args...)...), false)
}

// lostError is why the calls of a broken connection failed.
type lostError struct {
	addr  string
	cause error
}

func (e *lostError) Error() string { return fmt.Sprintf("connection to %s: %v", e.addr, e.cause) }

func (e *lostError) Unwrap() error { return e.cause }

func (e *lostError) Is(target error) bool { return target == ErrConnection }
