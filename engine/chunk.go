package engine

/*
#include "nitro.h"
*/
import "C"

import (
	"sync"
	"unsafe"
)

// Session is the engine's state of one client connection: its protocol and half-received requests. Not safe for
// concurrent use.
type Session struct {
	s *Store
	c *C.nitro_session
}

// Protocol is what a session speaks; the engine decides it by the first byte, the host may change it (HELLO).
type Protocol uint8

// The protocols.
const (
	ProtocolUnknown Protocol = C.NITRO_PROTO_UNKNOWN
	ProtocolRESP2   Protocol = C.NITRO_PROTO_RESP2
	ProtocolRESP3   Protocol = C.NITRO_PROTO_RESP3
	ProtocolBinary  Protocol = C.NITRO_PROTO_BINARY
)

// Stop says why Execute came back.
type Stop int

// The stops. With all of them, Out holds complete replies that the host must write and then drop with ClearOut,
// before it calls Execute again.
const (
	StopDone Stop = C.NITRO_STOP_DONE // every prepared request has run
	StopBusy Stop = C.NITRO_STOP_BUSY // a request takes long: call again, unless nobody wants its reply any more
	StopOut  Stop = C.NITRO_STOP_OUT  // the reply buffer is full
	StopBig  Stop = C.NITRO_STOP_BIG  // after Out, Big must be written
	StopHost Stop = C.NITRO_STOP_HOST // the host must run a request: HostVerb, Reply, Skip
	StopRoom Stop = C.NITRO_STOP_ROOM // no room in the log yet: Store.MakeRoom(RoomBytes)
)

// HostVerb is a request that the host must answer itself.
type HostVerb uint32

// The host verbs.
const (
	HostFlush    HostVerb = C.NITRO_HOST_FLUSH
	HostHello    HostVerb = C.NITRO_HOST_HELLO
	HostAuth     HostVerb = C.NITRO_HOST_AUTH
	HostClient   HostVerb = C.NITRO_HOST_CLIENT
	HostCommand  HostVerb = C.NITRO_HOST_COMMAND
	HostConfig   HostVerb = C.NITRO_HOST_CONFIG
	HostInfo     HostVerb = C.NITRO_HOST_INFO
	HostSelect   HostVerb = C.NITRO_HOST_SELECT
	HostQuit     HostVerb = C.NITRO_HOST_QUIT
	HostReset    HostVerb = C.NITRO_HOST_RESET
	HostWaitAOF  HostVerb = C.NITRO_HOST_WAITAOF // RESP: numlocal, numreplicas, timeout
	HostSync     HostVerb = C.NITRO_HOST_SYNC    // binary: everything that is appended now
	HostSave     HostVerb = C.NITRO_HOST_SAVE
	HostBgSave   HostVerb = C.NITRO_HOST_BGSAVE
	HostLastSave HostVerb = C.NITRO_HOST_LASTSAVE
	HostBackup   HostVerb = C.NITRO_HOST_BACKUP
	HostSnapshot HostVerb = C.NITRO_HOST_SNAPSHOT
	HostSlowLog  HostVerb = C.NITRO_HOST_SLOWLOG
	HostLatency  HostVerb = C.NITRO_HOST_LATENCY
	HostMerge    HostVerb = C.NITRO_HOST_MERGE
)

// StashMax is the most input that Stash takes.
const StashMax = 4096

// idleChunksPerStripe bounds the chunks kept for later beside the one that each stripe of the gate keeps.
const idleChunksPerStripe = 2

// NewSession returns a session with the host's connection id. It must be closed.
func (s *Store) NewSession(id uint64) (*Session, error) {
	t, err := s.enter()
	if err != nil {
		return nil, err
	}
	defer s.gate.runlock(t)
	c := C.nitro_session_open(s.c)
	if c == nil {
		return nil, ErrNoMemory
	}
	c.id = C.uint64_t(id)
	c.level = C.uint8_t(s.level)
	return &Session{s: s, c: c}, nil
}

// Close releases the session.
func (ss *Session) Close() {
	t := ss.s.gate.rlock()
	defer ss.s.gate.runlock(t)
	C.nitro_session_close(ss.s.c, &ss.c)
}

// Protocol is what the client speaks.
func (ss *Session) Protocol() Protocol { return Protocol(ss.c.proto) }

// SetProtocol changes how later replies are encoded.
func (ss *Session) SetProtocol(p Protocol) { ss.c.proto = C.uint8_t(p) }

// Requests is the number of requests that the engine has run so far; it doesn't count those that the host ran.
func (ss *Session) Requests() uint64 { return uint64(ss.c.requests) }

// Level is that of the client's requests that name none; at first it is the store's.
func (ss *Session) Level() Level { return Level(ss.c.level) }

// SetLevel changes the level of later requests.
func (ss *Session) SetLevel(l Level) { ss.c.level = C.uint8_t(l) }

// Locked reports whether the client still has to prove who it is; at first it doesn't.
func (ss *Session) Locked() bool { return ss.c.locked != 0 }

// SetLocked makes the engine refuse everything but AUTH, HELLO, QUIT and RESET, and requests of more than 4 KiB or 10
// arguments, until it is called with false.
func (ss *Session) SetLocked(locked bool) {
	ss.c.locked = 0
	if locked {
		ss.c.locked = 1
	}
}

// LastLSN is the LSN of the client's newest write; 0 if there is none.
func (ss *Session) LastLSN() uint64 { return uint64(ss.c.last_lsn) }

// Chunk is a read buffer, the requests found in it, and a buffer for their replies, all in C memory. One
// goroutine owns it from Acquire to Release. The slices it returns are views of that memory, valid until the
// next call on the chunk.
type Chunk struct {
	s      *Store
	c      *C.nitro_chunk
	stripe *stripe // the owner's part of the gate
}

// chunkPool keeps chunks that nobody uses beyond those on the stripes of the gate.
type chunkPool struct {
	limit int // of idle

	mu   sync.Mutex // guards idle
	idle []*Chunk
}

// Acquire returns an empty chunk: the one that this processor used last, if it is free.
func (s *Store) Acquire() (*Chunk, error) {
	t := s.gate.get()
	c := t.free.Swap(nil)
	if c == nil {
		var err error
		if c, err = s.acquireSlow(t); err != nil {
			s.gate.put(t)
			return nil, err
		}
	}
	c.stripe = t
	return c, nil
}

func (s *Store) acquireSlow(t *stripe) (*Chunk, error) {
	if c := s.chunks.take(); c != nil {
		return c, nil
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	if s.closed.Load() {
		return nil, ErrClosed
	}
	c := C.nitro_chunk_open(s.c)
	if c == nil {
		return nil, ErrNoMemory
	}
	return &Chunk{s: s, c: c}, nil
}

// Release empties the chunk and gives it back; the caller must not use it any more.
func (c *Chunk) Release() {
	s, t := c.s, c.stripe
	c.stripe = nil
	if c.c.in_len != 0 || c.c.out_len != 0 || c.c.count != 0 || c.c.gate_count != 0 {
		c.empty()
	}
	if !t.free.CompareAndSwap(nil, c) && !s.chunks.keep(c) {
		t.mu.RLock()
		C.nitro_chunk_close(s.c, &c.c)
		t.mu.RUnlock()
	}
	s.gate.put(t)
}

func (p *chunkPool) take() *Chunk {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.idle)
	if n == 0 {
		return nil
	}
	c := p.idle[n-1]
	p.idle[n-1] = nil
	p.idle = p.idle[:n-1]
	return c
}

// keep takes the chunk, or returns false when there are enough.
func (p *chunkPool) keep(c *Chunk) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle) >= p.limit {
		return false
	}
	p.idle = append(p.idle, c)
	return true
}

// freeChunks closes the chunks in the pool; under the exclusive gate.
func (s *Store) freeChunks() {
	for i := range s.gate.stripes {
		if c := s.gate.stripes[i].free.Swap(nil); c != nil {
			C.nitro_chunk_close(s.c, &c.c)
		}
	}
	for c := s.chunks.take(); c != nil; c = s.chunks.take() {
		C.nitro_chunk_close(s.c, &c.c)
	}
}

// Space is the free part of the input buffer; the host reads into it and says with Added how much came.
func (c *Chunk) Space() []byte {
	return unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(c.c.in), c.c.in_len)), int(c.c.in_cap-c.c.in_len))
}

// Added says that the host has put n bytes at the front of Space.
func (c *Chunk) Added(n int) { c.c.in_len += C.size_t(n) }

// Unread is the number of input bytes that no prepared request has consumed.
func (c *Chunk) Unread() int { return int(c.c.in_len - c.c.in_pos) }

// Compact makes room for reading on, after all prepared requests have run and Out has been written: it moves
// unread input to the front of the buffer. When nothing is unread it empties the chunk altogether, which
// Release then needn't do again.
func (c *Chunk) Compact() {
	if c.c.in_pos == c.c.in_len {
		c.empty()
		return
	}
	C.nitro_chunk_compact(c.c)
}

func (c *Chunk) empty() { C.nitro_chunk_reset(c.s.c, c.c) }

// Grow doubles the input buffer, up to what one request may need. ErrNoMemory, ErrMaxMemory.
func (c *Chunk) Grow() error {
	c.stripe.mu.RLock()
	code := C.nitro_chunk_grow(c.s.c, c.c)
	c.stripe.mu.RUnlock()
	return errorOf(code)
}

// Stash copies the unread input to dst, so that the chunk can be released while the rest of a request is
// awaited; 0 means that this is not possible and the chunk must be kept.
func (c *Chunk) Stash(dst []byte) int {
	return int(C.nitro_chunk_stash(c.c, pointer(dst), C.size_t(len(dst))))
}

// Prepare splits unread input into requests; now is Store.Now, once per round. ErrNoMemory: nothing was prepared.
func (c *Chunk) Prepare(ss *Session, now int64) error {
	c.stripe.mu.RLock()
	code := C.nitro_prepare(c.s.c, ss.c, c.c, C.int64_t(now))
	c.stripe.mu.RUnlock()
	return errorOf(code)
}

// More reports whether Prepare stopped at its cap and should be called again after Execute, before reading on.
func (c *Chunk) More() bool { return c.c.more != 0 }

// Closing reports whether the connection must be closed after the replies have been written.
func (c *Chunk) Closing() bool { return c.c.closing != 0 }

// busyMost is how often Execute waits before it lets its caller look whether to go on.
const busyMost = 64

// Execute runs prepared requests. It waits, in Go, for segments that other threads hold, and reads from disk the values
// that lie there, of as many requests at once as the engine finds right; meanwhile it is not in the gate.
func (c *Chunk) Execute(ss *Session, now int64) Stop {
	var b backoff
	for b.tries < busyMost {
		c.stripe.mu.RLock()
		stop := C.nitro_execute(c.s.c, ss.c, c.c, C.int64_t(now))
		c.stripe.mu.RUnlock()
		switch stop {
		case C.NITRO_STOP_BUSY:
			b.wait()
		case C.NITRO_STOP_IO: // the store stays open: Close comes when all chunks have been released
			C.nitro_chunk_fetch(c.s.c, c.c)
		default:
			return Stop(stop)
		}
	}
	return StopBusy
}

// Out is the encoded replies; ClearOut drops them.
func (c *Chunk) Out() []byte { return unsafe.Slice((*byte)(c.c.out), int(c.c.out_len)) }

// ClearOut empties the reply buffer, and forgets the gates, after Out has been written or taken.
func (c *Chunk) ClearOut() { c.c.out_len, c.c.gate_count = 0, 0 }

// Gate is a reply in Out that must not be sent yet: Out[From:To], until LSN is durable (LevelAlways) or written (the
// other levels). Gates are in the order of their replies; a reply without one need not wait. Big, and the rest of a
// reply of which only a part fitted into Out, wait with the last one.
type Gate struct {
	LSN      uint64
	From, To int
	ID       uint16 // of the binary request
	Level    Level
	Wrote    bool  // the request wrote, else it only read
	Flags    uint8 // of the binary request
	Part     bool  // not the whole reply: more of it comes with the next Execute
}

// Gates is the number of replies in Out that must wait.
func (c *Chunk) Gates() int { return int(c.c.gate_count) }

// Gate is the i-th of them.
func (c *Chunk) Gate(i int) Gate {
	g := &unsafe.Slice(c.c.gates, int(c.c.gate_count))[i]
	return Gate{LSN: uint64(g.lsn), From: int(g.from), To: int(g.to), ID: uint16(g.id), Level: Level(g.level),
		Wrote: g.wrote != 0, Flags: uint8(g.flags), Part: g.part != 0}
}

// GateReply makes what Reply has appended to Out since offset `from` wait for lsn, at the session's level.
// ErrNoMemory.
func (c *Chunk) GateReply(ss *Session, from int, lsn uint64, wrote bool) error {
	var w C.int
	if wrote {
		w = 1
	}
	c.stripe.mu.RLock()
	code := C.nitro_chunk_gate(c.s.c, ss.c, c.c, C.size_t(from), C.uint64_t(lsn), w)
	c.stripe.mu.RUnlock()
	return errorOf(code)
}

// RoomBytes is what the request that has stopped with StopRoom needs in the log.
func (c *Chunk) RoomBytes() uint64 { return uint64(c.c.room_bytes) }

// Big is the large value to write after Out, with StopBig; valid until the next Execute.
func (c *Chunk) Big() []byte { return unsafe.Slice((*byte)(c.c.big), int(c.c.big_len)) }

// HostVerb is the request to run, with StopHost.
func (c *Chunk) HostVerb() HostVerb { return HostVerb(c.c.host_verb) }

// HostID and HostFlags are the id and the flags of a binary request that the host runs.
func (c *Chunk) HostID() uint16   { return uint16(c.c.host_id) }
func (c *Chunk) HostFlags() uint8 { return uint8(c.c.host_flags) }

// HostArgs is the number of arguments of the host's request, a RESP verb's name included.
func (c *Chunk) HostArgs() int { return int(c.c.host_argc) }

// HostArg is argument i.
func (c *Chunk) HostArg(i int) []byte {
	a := unsafe.Slice(c.c.host_argv, int(c.c.host_argc))[i]
	return unsafe.Slice((*byte)(a.p), int(a.n))
}

// Reply appends an encoded reply for the host's request. ErrNoMemory.
func (c *Chunk) Reply(p []byte) error {
	c.stripe.mu.RLock()
	code := C.nitro_chunk_reply(c.s.c, c.c, pointer(p), C.size_t(len(p)))
	c.stripe.mu.RUnlock()
	return errorOf(code)
}

// Skip says that the host has dealt with the request.
func (c *Chunk) Skip() { C.nitro_chunk_skip(c.c) }
