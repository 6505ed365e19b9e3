package server

import (
	"math"
	"strings"

	"github.com/nitrokv/nitrokv/engine"
)

// Host verbs are the requests about the connection or the server rather than about keys. The engine parses
// them, finds their place in the order and checks their arity; they run here, between two calls of Execute, and
// their replies are appended to those of the requests before them.
//
// A verb does what it says or answers an error: nothing here replies +OK to something that has no effect. An
// option or subcommand that Redis has and this server has not gets Redis's own words for an unknown one.
//
// CHECKLIST for a new verb: engine/cmd.c, enum nitro_host_verb, the switch below; for a new subcommand only its
// table.

// hostBytesMax bounds the arguments of a host verb, the only ones that are copied to the Go heap.
const hostBytesMax = 64 * 1024

// request is a RESP request that runs in Go.
type request struct {
	c    *conn
	fd   uintptr
	ch   *engine.Chunk
	args []string // args[0] is the verb
	lsn  uint64   // of the write that was made, 0 for none: the reply waits for it
	reply
	behind []byte // the rest of the reply, if it is large: it is written from where it lies
}

// host runs the request that the engine has stopped at.
func (c *conn) host(fd uintptr, ch *engine.Chunk) {
	var a hostAnswer
	var behind []byte
	c.proto.Store(uint32(c.ss.Protocol())) // CLIENT LIST shows it, perhaps in this very round
	if c.ss.Protocol() == engine.ProtocolBinary {
		a = c.hostBinary(fd, ch)
	} else {
		r := &request{c: c, fd: fd, ch: ch}
		r.runText()
		a, behind = hostAnswer{reply: r.b, lsn: r.lsn, wrote: true}, r.behind
	}
	if err := c.answer(ch, a); err != nil {
		c.srv.log.Warn("no memory for a reply", "client", c.id, "error", err)
		c.over = true
		return
	}
	c.accountHost(ch, a.reply)
	if len(behind) > 0 {
		c.deliver(fd, ch, behind)
		c.resume()
	}
}

func (r *request) runText() {
	c, ch := r.c, r.ch
	r.resp3 = c.ss.Protocol() == engine.ProtocolRESP3
	if !r.takeArgs(ch) {
		r.fail("ERR the arguments are longer than %d bytes", hostBytesMax)
		return
	}
	switch ch.HostVerb() {
	case engine.HostFlush:
		r.flush()
	case engine.HostHello:
		r.hello()
	case engine.HostAuth:
		r.auth()
	case engine.HostClient:
		r.sub(clientCommands)
	case engine.HostCommand:
		r.command()
	case engine.HostConfig:
		r.sub(configCommands)
	case engine.HostInfo:
		r.info()
	case engine.HostSelect:
		r.selectDB()
	case engine.HostQuit:
		r.quit()
	case engine.HostReset:
		r.reset()
	case engine.HostWaitAOF:
		r.waitAOF()
	case engine.HostSave:
		r.save()
	case engine.HostBgSave:
		r.bgSave()
	case engine.HostLastSave:
		r.lastSave()
	case engine.HostBackup:
		r.backupCommand()
	case engine.HostSnapshot:
		r.sub(snapshotCommands)
	case engine.HostSlowLog:
		r.sub(slowlogCommands)
	case engine.HostLatency:
		r.sub(latencyCommands)
	case engine.HostMerge:
		r.merge()
	default:
		r.fail("ERR unknown command '%s'", quoted(r.args[0]))
	}
}

// takeArgs copies the arguments, or returns false when they are too long.
func (r *request) takeArgs(ch *engine.Chunk) bool {
	n := ch.HostArgs()
	total := n * 16 // a string's header counts too
	for i := 0; i < n && total <= hostBytesMax; i++ {
		total += len(ch.HostArg(i))
	}
	if total > hostBytesMax {
		return false
	}
	r.args = make([]string, n)
	for i := range r.args {
		r.args[i] = string(ch.HostArg(i))
	}
	return true
}

// subcommand is a row of the tables behind CLIENT, CONFIG and COMMAND.
type subcommand struct {
	name    string // lower case
	arity   int    // verb and subcommand included; negative: at least
	args    string // as in engine.Command
	summary string
	run     func(*request)
}

// container is a verb with subcommands.
type container struct {
	name string // lower case
	subs []subcommand
}

// sub runs a subcommand.
func (r *request) sub(of *container) {
	if len(r.args) < 2 {
		r.wrongArity(of.name)
		return
	}
	name := strings.ToLower(r.args[1])
	if name == "help" {
		if len(r.args) != 2 {
			r.wrongArity(of.name + "|help")
			return
		}
		r.subHelp(of)
		return
	}
	for i := range of.subs {
		s := &of.subs[i]
		if s.name != name {
			continue
		}
		if n := len(r.args); s.arity >= 0 && n != s.arity || n < -s.arity {
			r.wrongArity(of.name + "|" + name)
			return
		}
		s.run(r)
		return
	}
	r.unknownSubcommand(strings.ToUpper(of.name), r.args[1])
}

// subHelp prints the table.
func (r *request) subHelp(of *container) {
	var lines []string
	for _, s := range of.subs {
		lines = append(lines, strings.TrimSpace(strings.ToUpper(s.name)+" "+s.args), "    "+s.summary)
	}
	r.help(strings.ToUpper(of.name), lines)
}

// flush is FLUSHDB and FLUSHALL. SYNC and ASYNC are the same here: the keys go at once, their memory in the
// background.
func (r *request) flush() {
	if len(r.args) > 2 || len(r.args) == 2 && !isWord(r.args[1], "SYNC", "ASYNC") {
		r.syntaxError()
		return
	}
	lsn, err := r.c.flush()
	if err != nil {
		r.storeError(err)
		return
	}
	r.lsn = lsn
	r.ok()
}

func (r *request) quit() {
	r.ok()
	r.c.over = true
}

// selectDB accepts the only database there is.
func (r *request) selectDB() {
	if len(r.args) != 2 {
		r.wrongArity("select")
		return
	}
	switch n, ok := parseInt(r.args[1]); {
	case !ok:
		r.fail("ERR value is not an integer or out of range")
	case n < math.MinInt32 || n > math.MaxInt32:
		r.fail("ERR value is out of range, value must between -2147483648 and 2147483647")
	case n != 0:
		r.fail("ERR DB index is out of range")
	default:
		r.ok()
	}
}

// isWord reports whether s is one of the words, in any case.
func isWord(s string, words ...string) bool {
	for _, w := range words {
		if strings.EqualFold(s, w) {
			return true
		}
	}
	return false
}
