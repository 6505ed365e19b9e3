package proto

import "fmt"

// Status is the result of a request: one byte on the wire, a code in the engine (enum nitro_code in
// engine/nitro.h has the same names and values), and an error in Go. Compare with errors.Is.
// CHECKLIST for a new one: NITRO_ERRORS in engine/nitro.h, this list, PROTOCOL.md; a test compares
// the three.
type Status uint8

// The statuses. Codes are never renumbered.
const (
	OK              Status = 0x00
	ENOTFOUND       Status = 0x10
	ENOTSTORED      Status = 0x11
	EVERSION        Status = 0x12
	EFRAME          Status = 0x20
	EOPCODE         Status = 0x21
	EFLAG           Status = 0x22
	EEXTENSION      Status = 0x23
	EKEYSIZE        Status = 0x24
	EVALUESIZE      Status = 0x25
	ENOTNUMBER      Status = 0x26
	EOVERFLOW       Status = 0x27
	EARGUMENT       Status = 0x28
	ECHECKSUM       Status = 0x29
	EUNSUPPORTED    Status = 0x2A
	ECHUNK          Status = 0x2B
	ELIMIT          Status = 0x2C
	EAUTHREQUIRED   Status = 0x30
	EAUTHFAILED     Status = 0x31
	EBUSY           Status = 0x40
	ENOMEM          Status = 0x41
	EMAXMEMORY      Status = 0x42
	ESHUTDOWN       Status = 0x43
	ELOADING        Status = 0x44
	EMAXCLIENTS     Status = 0x45
	ELOGFULL        Status = 0x46
	EREADONLY       Status = 0x47
	EMOVED          Status = 0x50
	EUNKNOWNOUTCOME Status = 0x60
	EINTERNAL       Status = 0x70
	EIO             Status = 0x71
	ECORRUPT        Status = 0x72
	EINUSE          Status = 0x73
	EFORMAT         Status = 0x74
	ENOTDURABLE     Status = 0x75
)

var statuses = map[Status]struct{ name, text string }{
	OK:              {"OK", "ok"},
	ENOTFOUND:       {"ENOTFOUND", "no such key"},
	ENOTSTORED:      {"ENOTSTORED", "the condition does not hold, nothing was stored"},
	EVERSION:        {"EVERSION", "the version differs from the expected one"},
	EFRAME:          {"EFRAME", "malformed frame"},
	EOPCODE:         {"EOPCODE", "unknown opcode"},
	EFLAG:           {"EFLAG", "unknown or misplaced flag"},
	EEXTENSION:      {"EEXTENSION", "unknown critical extension"},
	EKEYSIZE:        {"EKEYSIZE", "key is longer than the limit"},
	EVALUESIZE:      {"EVALUESIZE", "value is larger than the limit"},
	ENOTNUMBER:      {"ENOTNUMBER", "value is not an integer or out of range"},
	EOVERFLOW:       {"EOVERFLOW", "increment or decrement would overflow"},
	EARGUMENT:       {"EARGUMENT", "invalid argument"},
	ECHECKSUM:       {"ECHECKSUM", "checksum mismatch"},
	EUNSUPPORTED:    {"EUNSUPPORTED", "not supported by this server"},
	ECHUNK:          {"ECHUNK", "chunk out of sequence"},
	ELIMIT:          {"ELIMIT", "request exceeds a limit of this connection"},
	EAUTHREQUIRED:   {"EAUTHREQUIRED", "authentication required"},
	EAUTHFAILED:     {"EAUTHFAILED", "authentication failed"},
	EBUSY:           {"EBUSY", "busy, not applied, try again"},
	ENOMEM:          {"ENOMEM", "out of memory, not applied"},
	EMAXMEMORY:      {"EMAXMEMORY", "memory limit reached, not applied"},
	ESHUTDOWN:       {"ESHUTDOWN", "the server is shutting down, not applied"},
	ELOADING:        {"ELOADING", "the server is loading its data, not applied"},
	EMAXCLIENTS:     {"EMAXCLIENTS", "too many clients, not applied"},
	ELOGFULL:        {"ELOGFULL", "no room in the log, not applied"},
	EREADONLY:       {"EREADONLY", "the log has failed, the store is read-only, not applied"},
	EMOVED:          {"EMOVED", "the key is served elsewhere"},
	EUNKNOWNOUTCOME: {"EUNKNOWNOUTCOME", "the outcome is unknown"},
	EINTERNAL:       {"EINTERNAL", "internal error"},
	EIO:             {"EIO", "input/output error"},
	ECORRUPT:        {"ECORRUPT", "damaged data"},
	EINUSE:          {"EINUSE", "the data folder is in use by another process"},
	EFORMAT:         {"EFORMAT", "data of another mode or of a newer format"},
	ENOTDURABLE:     {"ENOTDURABLE", "the log has failed before this was durable"},
}

// String returns the status's name, as in PROTOCOL.md and NITRO_ERRORS.
func (s Status) String() string {
	if d, ok := statuses[s]; ok {
		return d.name
	}
	return fmt.Sprintf("status %#02x", uint8(s))
}

// Error returns the status's text. A code that this package does not know gets the text of its class,
// so that a message from a newer server still says what happened.
func (s Status) Error() string {
	if d, ok := statuses[s]; ok {
		return d.text
	}
	return fmt.Sprintf("%s (unknown status %#02x)", s.Class(), uint8(s))
}

// Known reports whether this package knows the code itself, not only its class.
func (s Status) Known() bool {
	_, ok := statuses[s]
	return ok
}

// Class is the high nibble of a status. It is what a client acts on, so that an old client does the
// right thing with a new code.
type Class uint8

// The classes. A class above ClassServer is treated like ClassUnknown: the safe reading.
const (
	ClassOK         Class = 0 // done
	ClassNegative   Class = 1 // done, the answer is no
	ClassCaller     Class = 2 // the request is wrong: don't repeat it
	ClassIdentity   Class = 3 // who is asking is not known or not allowed
	ClassNotApplied Class = 4 // surely not applied: may be repeated
	ClassElsewhere  Class = 5 // not here, and not applied
	ClassUnknown    Class = 6 // may or may not have been applied
	ClassServer     Class = 7 // the server failed; may or may not have been applied
)

var classTexts = [...]string{
	ClassOK:         "ok",
	ClassNegative:   "negative answer",
	ClassCaller:     "invalid request",
	ClassIdentity:   "not authorised",
	ClassNotApplied: "not applied, try again",
	ClassElsewhere:  "served elsewhere",
	ClassUnknown:    "the outcome is unknown",
	ClassServer:     "server fault",
}

// Class returns the status's class.
func (s Status) Class() Class { return Class(s >> 4) }

// String says in a few words what a status of the class means.
func (c Class) String() string {
	if int(c) < len(classTexts) {
		return classTexts[c]
	}
	return fmt.Sprintf("class %d, outcome unknown", uint8(c))
}

// FrameError says that a frame is malformed: the status to answer with, the id it belongs to, what is
// wrong, and whether the position in the stream is lost with it.
type FrameError struct {
	Status Status
	ID     uint16 // 0 if the frame's own id can't be trusted
	Fatal  bool   // the connection must be closed after the answer
	Msg    string
}

// Error implements error.
func (e *FrameError) Error() string {
	return fmt.Sprintf("proto: %s: %s (request %d)", e.Status.Error(), e.Msg, e.ID)
}

// Unwrap makes errors.Is(err, EFRAME) and the like work.
func (e *FrameError) Unwrap() error { return e.Status }
