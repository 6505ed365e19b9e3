package server

import (
	"context"
	"errors"
	"math"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"github.com/nitrokv/nitrokv/engine"
	"github.com/nitrokv/nitrokv/proto"
)

// The requests about durability: WAITAOF, binary SYNC, CLIENT DURABILITY; and the gates of replies to requests that run
// in Go.

// hostAnswer is the reply to a request that runs in Go, and what it has to wait for.
type hostAnswer struct {
	reply  []byte
	lsn    uint64 // 0: nothing
	wrote  bool   // with lsn
	always bool   // with lsn: at level always, whatever the connection's
}

// answer appends the reply to the chunk.
func (c *conn) answer(ch *engine.Chunk, a hostAnswer) error {
	from := len(ch.Out())
	if err := ch.Reply(a.reply); err != nil || a.lsn == 0 {
		return err
	}
	if a.always {
		own := c.ss.Level()
		c.ss.SetLevel(engine.LevelAlways)
		defer c.ss.SetLevel(own)
	}
	return ch.GateReply(c.ss, from, a.lsn, a.wrote)
}

// flush removes every key. The reply waits for lsn, which may be a later write's of somebody else: its own is not known.
func (c *conn) flush() (lsn uint64, err error) {
	if err := c.srv.store.Flush(); err != nil {
		return 0, err
	}
	if !c.srv.logged {
		return 0, nil
	}
	c.flushed = c.srv.store.Appended()
	return c.flushed, nil
}

// errorWords are RESP's for errors of the store: the engine's own (NK_FAULTS in req_fault.h), which clients know by their
// first word.
var errorWords = []struct {
	is   error
	text string
}{
	{engine.ErrLoading, loadingText},
	{engine.ErrReadOnly, "MISCONF Errors writing to the AOF file: the log has failed, writes are refused until a restart"},
	{engine.ErrUnknownOutcome, "UNKNOWN " + unknownText},
	{engine.ErrNotDurable, "NOTDURABLE " + notDurableText},
}

const loadingText = "LOADING Redis is loading the dataset in memory"

// fullWords are those for ErrLogFull, by what is lacking; as in errorWords.
var fullWords = map[engine.LogLack]string{
	engine.LackRoom:    "no room on the disk, the command was not applied",
	engine.LackHandles: "too many open files, the command was not applied; raise LimitNOFILE (ulimit -n) of the server",
	engine.LackFiles:   "there cannot be more data files, the command was not applied; let merges run, or raise --max-file-size",
}

// storeError answers an error of the store.
func (r *request) storeError(err error) {
	if errors.Is(err, engine.ErrLogFull) {
		r.fail("MISCONF Errors writing to the AOF file: %s", fullWords[r.c.srv.store.LogLack()])
		return
	}
	for _, w := range errorWords {
		if errors.Is(err, w.is) {
			r.fail("%s", w.text)
			return
		}
	}
	r.fail("ERR %v", err)
}

// statusOf is the binary protocol's status for an error of the store.
func statusOf(err error) proto.Status {
	if e := engine.Error(0); errors.As(err, &e) {
		return proto.Status(e)
	}
	return proto.EINTERNAL
}

// binarySync is SYNC: answered when everything that has been applied so far is on disk, whatever the connection's level.
func (c *conn) binarySync(meta proto.Meta, flags proto.Flags) hostAnswer {
	switch {
	case !c.srv.logged:
		return hostAnswer{reply: proto.AppendErrorReply(nil, meta, proto.EUNSUPPORTED,
			"this server keeps no log: nothing can be made durable")}
	case c.srv.load.busy.Load():
		return hostAnswer{reply: proto.AppendErrorReply(nil, meta, proto.ELOADING, "")}
	}
	lsn := c.srv.store.Appended()
	if level := flags & proto.FlagDurability; level == proto.DurabilityNever || level == proto.DurabilityEverySec {
		// The engine gives the reply a gate at the level that the request names, which is not enough for this one.
		ctx, unblock := c.blockOn(context.Background())
		defer unblock()
		if err := c.srv.store.WaitDurable(ctx, lsn); err != nil {
			return hostAnswer{reply: proto.AppendErrorReply(nil, meta, proto.ENOTDURABLE, err.Error())}
		}
	}
	return hostAnswer{reply: proto.AppendReply(nil, meta, proto.OK, ""), lsn: lsn, always: true}
}

// clientDurability is CLIENT DURABILITY [level]: how safe this connection's writes are when they are acknowledged. It is
// NitroKV's own; Redis has one setting for the server.
func (r *request) clientDurability() {
	ss := r.c.ss
	switch {
	case len(r.args) > 3:
		r.wrongArity("client|durability")
	case len(r.args) == 2 && !r.c.srv.logged:
		r.bulk("none")
	case len(r.args) == 2:
		r.bulk(ss.Level().String())
	case !r.c.srv.logged:
		r.fail("ERR this server keeps no log: there is no durability to choose")
	case isWord(r.args[2], "DEFAULT"):
		ss.SetLevel(r.c.srv.opt.Level)
		r.ok()
	default:
		level, err := engine.ParseLevel(strings.ToLower(r.args[2]))
		if err != nil {
			r.fail("ERR unknown durability '%s': use always, everysec, never or default", quoted(r.args[2]))
			return
		}
		ss.SetLevel(level)
		r.ok()
	}
}

// waitAOF is WAITAOF numlocal numreplicas timeout: it waits until this connection's writes are durable here (numlocal 1)
// and on so many replicas, of which there are none, at most timeout milliseconds (0: for ever), and answers on how
// many they are: [0 or 1, 0]. Redis waits for the next sync that comes by itself; here one is asked for.
func (r *request) waitAOF() {
	local, replicas, timeout, ok := r.parseWaitAOF()
	if !ok {
		return
	}
	c := r.c
	lsn := max(c.ss.LastLSN(), c.flushed)
	if durable := c.durable(lsn); durable < local || replicas > 0 {
		if err := c.awaitAOF(r.fd, r.ch, lsn, replicas > 0, timeout); err != nil {
			r.storeError(err)
			return
		}
	}
	r.array(2)
	r.int(c.durable(lsn))
	r.int(0)
}

func (r *request) parseWaitAOF() (local, replicas int64, timeout time.Duration, ok bool) {
	local, ok = parseInt(r.args[1])
	if !ok {
		r.fail("ERR value is not an integer or out of range")
		return 0, 0, 0, false
	}
	if local < 0 || local > 1 {
		r.fail("ERR value is out of range, value must between 0 and 1")
		return 0, 0, 0, false
	}
	replicas, ok = parseIntBelow(r.args[2], 0, math.MaxInt64)
	if !ok {
		r.fail("ERR value is out of range, must be positive")
		return 0, 0, 0, false
	}
	ms, ok := parseInt(r.args[3])
	problem := ""
	switch s := r.c.srv; {
	case !ok:
		problem = "ERR timeout is not an integer or out of range"
	case ms < 0:
		problem = "ERR timeout is negative"
	case ms > math.MaxInt64-s.store.Now():
		problem = "ERR timeout is out of range"
	case s.load.busy.Load():
		problem = loadingText
	case local > 0 && !s.logged:
		problem = "ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled."
	}
	if problem != "" {
		r.fail("%s", problem)
		return 0, 0, 0, false
	}
	return local, replicas, time.Duration(min(ms, math.MaxInt64/int64(time.Millisecond))) * time.Millisecond, true
}

// durable is 1 if everything up to lsn is durable, else 0.
func (c *conn) durable(lsn uint64) int64 {
	if c.srv.logged && c.srv.store.Durable() >= lsn {
		return 1
	}
	return 0
}

// awaitAOF waits until lsn is durable, and, if somebody asked for replicas, until the time is over. The error is the log's failure; that the time is over is none.
func (c *conn) awaitAOF(fd uintptr, ch *engine.Chunk, lsn uint64, replicas bool, timeout time.Duration) error {
	ctx, release := context.Background(), func() {}
	if timeout > 0 {
		ctx, release = context.WithTimeout(ctx, timeout)
	}
	defer release()
	ctx, unblock, ok := c.block(ctx, fd, ch)
	if !ok {
		return nil
	}
	defer unblock()
	if c.srv.logged {
		if err := c.srv.store.WaitDurable(ctx, lsn); err != nil && ctx.Err() == nil {
			return err
		}
	}
	if replicas {
		c.awaitTimeout(ctx, fd)
	}
	return nil
}

// block begins a request for which the connection's goroutine waits: the replies before it go out first, it counts as
// blocked, and what wakes the connection ends the context. false: the connection is over.
func (c *conn) block(ctx context.Context, fd uintptr, ch *engine.Chunk) (waits context.Context, unblock func(), ok bool) {
	if !c.deliver(fd, ch, nil) {
		return nil, nil, false
	}
	if p := c.pend.Load(); p != nil {
		p.ask()
	}
	waits, cancel := c.blockOn(ctx)
	c.srv.total.blocked.Add(1)
	return waits, func() {
		c.srv.total.blocked.Add(-1)
		cancel()
	}, true
}

// hangUpEvery is how often a connection that waits for nothing but time looks whether its client is still there.
const hangUpEvery = time.Second

// awaitTimeout waits for the end of ctx, or of the client.
func (c *conn) awaitTimeout(ctx context.Context, fd uintptr) {
	look := time.NewTicker(hangUpEvery)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
			if hungUp(fd) {
				c.over = true
				return
			}
		}
	}
}

// hungUp reports whether the client has closed its side, even if there is input that has not been read.
func hungUp(fd uintptr) bool {
	const pollRDHUP, pollERR, pollHUP = 0x2000, 0x8, 0x10
	p := struct {
		fd              int32
		events, revents int16
	}{fd: int32(fd), events: pollRDHUP}
	var now syscall.Timespec
	n, _, _ := syscall.Syscall6(syscall.SYS_PPOLL, uintptr(unsafe.Pointer(&p)), 1, uintptr(unsafe.Pointer(&now)), 0, 0, 0)
	return n == 1 && p.revents&(pollRDHUP|pollERR|pollHUP) != 0
}
