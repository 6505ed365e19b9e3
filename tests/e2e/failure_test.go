package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nitrokv/nitrokv/proto"
)

// The tests in this file are the table "Who waits where" of docs/design/0003: what each client is told when the log
// fails. FULL is in fullfs_test.go, on a disk that is full.

// What clients are told, by RESP's first word and by status.
type answer struct {
	word   string
	status proto.Status
}

var (
	unknownOutcome = answer{"UNKNOWN", proto.EUNKNOWNOUTCOME}
	readOnly       = answer{"MISCONF", proto.EREADONLY}
	logFull        = answer{"MISCONF", proto.ELOGFULL}
	notDurable     = answer{"NOTDURABLE", proto.ENOTDURABLE}
)

var levelFlags = map[string]proto.Flags{
	"always": proto.DurabilityAlways, "everysec": proto.DurabilityEverySec, "never": proto.DurabilityNever,
}

var levelNames = []string{"always", "everysec", "never"}

// isAnswer checks an error reply of RESP.
func isAnswer(t *testing.T, what string, got any, err error, want answer) {
	t.Helper()
	var e respError
	if !errors.As(err, &e) || !strings.HasPrefix(string(e), want.word+" ") {
		t.Errorf("%s: answered with %v, %v; want -%s", what, got, err, want.word)
	}
}

// isStatus checks a reply of the binary protocol.
func isStatus(t *testing.T, what string, c *nbpConn, id uint16, want proto.Status) {
	t.Helper()
	status, text, err := c.reply(id)
	if err != nil || status != want {
		t.Errorf("%s: answered with %v %q, %v; want %v", what, status, text, err, want)
	}
}

// atOnce is how long a handful of replies may take that wait for nothing.
const atOnce = time.Second

// refuses demands that a write and nothing else is refused, in both protocols, at every level, without waiting.
func refuses(t *testing.T, p *process, want answer) {
	t.Helper()
	for _, level := range levelNames {
		c, frames := dialResp(t, p, level), dialNBP(t, p)
		sent := time.Now()
		got, err := c.do("SET", "later", "v")
		isAnswer(t, "a later SET at "+level, got, err, want)
		got, err = c.do("INCR", "later:n")
		isAnswer(t, "a later INCR at "+level, got, err, want)
		got, err = c.do("MSET", "later", "v", "later:2", "v")
		isAnswer(t, "a later MSET at "+level, got, err, want)
		id, err := frames.set(levelFlags[level], "later", "v")
		if err != nil {
			t.Fatal(err)
		}
		isStatus(t, "a later binary SET at "+level, frames, id, want.status)
		if took := time.Since(sent); took > atOnce {
			t.Errorf("four refusals at %s took %v", level, took)
		}
		if v := c.must(t, "GET", "later"); v != nil {
			t.Errorf("a SET at %s that was refused is visible: %v", level, v)
		}
	}
}

// reads demands that durable data is readable at every level, without waiting.
func reads(t *testing.T, p *process, key, want string) {
	t.Helper()
	for _, level := range levelNames {
		sent := time.Now()
		got := dialResp(t, p, level).must(t, "GET", key)
		if took := time.Since(sent); got != want || took > atOnce {
			t.Errorf("a read of durable data at %s: %v after %v, want %q", level, got, took, want)
		}
	}
}

// noted waits until CONTROL knows what was just made durable, so that no write of the server's own is under way.
func noted(t *testing.T, dir string, before []byte) {
	t.Helper()
	eventually(t, callLimit, "CONTROL was written", func() bool { return !bytes.Equal(control(t, dir), before) })
}

func control(t *testing.T, dir string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "CONTROL"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// doomed starts a server that holds durable data, quiet enough that the next thing that fails is what the test does.
func doomed(t *testing.T, args ...string) (p *process, dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "data")
	p = start(t, append([]string{"--dir", dir}, args...)...)
	before := control(t, dir)
	c := dialResp(t, p, "always")
	c.must(t, "MSET", "durable", "v", "deleted", "v")
	noted(t, dir, before)
	return p, dir
}

// A flight is a set of requests that wait for a sync that is going to fail.
type flight struct {
	write, read, miss     *respConn
	frames                *nbpConn
	frameWrite, frameRead uint16
}

// takeOff sends writes and gated reads. What the reads show is written at never, and acknowledged.
func takeOff(t *testing.T, p *process) flight {
	t.Helper()
	low := dialResp(t, p, "never")
	low.must(t, "SET", "written", "v")
	low.must(t, "DEL", "deleted")
	f := flight{dialResp(t, p, "always"), dialResp(t, p, "always"), dialResp(t, p, "always"), dialNBP(t, p), 0, 0}
	err := errors.Join(f.write.send("SET", "w1", "v"), f.read.send("GET", "written"), f.miss.send("GET", "deleted"))
	var err2, err3 error
	f.frameWrite, err2 = f.frames.set(proto.DurabilityAlways, "w2", "v")
	f.frameRead, err3 = f.frames.get(proto.DurabilityAlways, "written")
	if err := errors.Join(err, err2, err3); err != nil {
		t.Fatal(err)
	}
	return f
}

// land checks what they were told.
func (f flight) land(t *testing.T) {
	t.Helper()
	got, err := f.write.reply()
	isAnswer(t, "a SET in flight", got, err, unknownOutcome)
	got, err = f.read.reply()
	isAnswer(t, "a parked GET", got, err, notDurable)
	got, err = f.miss.reply()
	isAnswer(t, "a parked GET of a deleted key", got, err, notDurable)
	want := map[uint16]proto.Status{f.frameWrite: proto.EUNKNOWNOUTCOME, f.frameRead: proto.ENOTDURABLE}
	for range 2 {
		m, err := f.frames.in.Next()
		if err != nil || m.Status() != want[m.ID] {
			t.Errorf("binary, request %d: answered with %v, %v; want %v", m.ID, m.Status(), err, want[m.ID])
		}
	}
}

// TestFailedSyncReadOnly is the table's row for a failed sync with --on-io-error=readonly.
func TestFailedSyncReadOnly(t *testing.T) {
	p, dir := doomed(t, "--on-io-error", "readonly")
	tr := p.tamper(t, "fdatasync", "fdatasync:error=EIO:delay_enter="+fmt.Sprint(syncTime.Microseconds()))
	f := takeOff(t, p)
	f.land(t)
	refuses(t, p, readOnly)
	reads(t, p, "durable", "v")
	sent := time.Now()
	high := dialResp(t, p, "always")
	got, err := high.do("GET", "written")
	isAnswer(t, "a new GET of what is not durable", got, err, notDurable)
	got, err = high.do("EXISTS", "deleted")
	isAnswer(t, "a new EXISTS of a key whose DEL is not durable", got, err, notDurable)
	if took := time.Since(sent); took > atOnce {
		t.Errorf("two gated reads after the failure took %v; there is nothing to wait for", took)
	}
	if v := dialResp(t, p, "never").must(t, "GET", "written"); v != "v" {
		t.Errorf("a GET at never of what is written: %v", v)
	}
	tr.detach(t)
	refuses(t, p, readOnly) // the disk is well again, the file is not
	p.kill(t)
	c := dialResp(t, start(t, "--dir", dir), "always")
	for key, want := range map[string]any{"durable": "v", "written": "v", "deleted": nil, "later": nil} {
		if got := c.must(t, "GET", key); got != want {
			t.Errorf("after a restart %q is %v, want %v", key, got, want)
		}
	}
	c.must(t, "SET", "again", "v")
}

// TestFailedWriteReadOnly is the same for a failed write, at each level: nothing was written, so at every level the
// writer in flight doesn't know, and nobody is shown the value.
func TestFailedWriteReadOnly(t *testing.T) {
	for i, level := range levelNames {
		t.Run(level, func(t *testing.T) {
			p, dir := doomed(t, "--on-io-error", "readonly")
			// A write for which there is no room is as final: the room had been made before.
			tr := p.tamper(t, "pwrite64", "pwrite64:error="+[]string{"EIO", "ENOSPC"}[i%2])
			c := dialResp(t, p, level)
			got, err := c.do("SET", "k", "v")
			isAnswer(t, "the SET in flight", got, err, unknownOutcome)
			refuses(t, p, readOnly)
			reads(t, p, "durable", "v")
			for _, l := range levelNames {
				got, err := dialResp(t, p, l).do("GET", "k")
				isAnswer(t, "a GET at "+l, got, err, notDurable)
			}
			tr.detach(t)
			p.kill(t)
			again := dialResp(t, start(t, "--dir", dir), "always")
			if v := again.must(t, "GET", "durable"); v != "v" {
				t.Errorf("after a restart the durable value is %v", v)
			}
		})
	}
}

// TestFailedSyncExit is the table's row for --on-io-error=exit, the default: clients in flight are told, then the process
// ends with status 3.
func TestFailedSyncExit(t *testing.T) {
	p, dir := doomed(t)
	tr := p.tamper(t, "fdatasync", "fdatasync:error=EIO:delay_enter="+fmt.Sprint(syncTime.Microseconds()))
	f := takeOff(t, p)
	f.land(t)
	landed := time.Now()
	if status := p.wait(t); status != 3 {
		t.Errorf("exit status %d, want 3\n%s", status, p.logged())
	}
	if took := time.Since(landed); took > 3*time.Second {
		t.Errorf("the process has ended %v after its last answers", took)
	}
	tr.detach(t)
	c := dialResp(t, start(t, "--dir", dir), "always")
	for key, want := range map[string]any{"durable": "v", "written": "v", "deleted": nil} {
		if got := c.must(t, "GET", key); got != want {
			t.Errorf("after a restart %q is %v, want %v", key, got, want)
		}
	}
}

// TestFailedWriteExit: the same for a failed write at a lower level.
func TestFailedWriteExit(t *testing.T) {
	p, _ := doomed(t)
	p.tamper(t, "pwrite64", "pwrite64:error=EIO")
	got, err := dialResp(t, p, "never").do("SET", "k", "v")
	isAnswer(t, "the SET in flight", got, err, unknownOutcome)
	if status := p.wait(t); status != 3 {
		t.Errorf("exit status %d, want 3\n%s", status, p.logged())
	}
}

// TestInterruptedWrites: EINTR is no failure.
func TestInterruptedWrites(t *testing.T) {
	p, dir := doomed(t)
	tr := p.tamper(t, "pwrite64", "pwrite64:error=EINTR:when=1+2")
	c := dialResp(t, p, "always")
	for i := range 20 {
		c.must(t, "SET", fmt.Sprint("k", i), "v")
	}
	if tr.hits(t) == 0 {
		t.Error("no write was interrupted, so this test has shown nothing")
	}
	tr.detach(t)
	p.kill(t)
	again := dialResp(t, start(t, "--dir", dir), "always")
	for i := range 20 {
		if v := again.must(t, "GET", fmt.Sprint("k", i)); v != "v" {
			t.Errorf("k%d is %v after a restart", i, v)
		}
	}
}
