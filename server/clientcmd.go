package server

import (
	"fmt"
	"strings"

	"github.com/nitrokv/nitrokv/engine"
)

// clientCommands is CLIENT.
var clientCommands = &container{name: "client", subs: []subcommand{
	{"durability", -2, "[ALWAYS|EVERYSEC|NEVER|DEFAULT]",
		"Shows or chooses how safe the connection's writes are when they are acknowledged.", (*request).clientDurability},
	{"getname", 2, "", "Returns the name of the connection.", (*request).clientGetName},
	{"id", 2, "", "Returns the id of the connection.", (*request).clientID},
	{"info", 2, "", "Describes the connection.", (*request).clientInfo},
	{"kill", -3, "ip:port|[ID client-id] [ADDR ip:port] [LADDR ip:port] [SKIPME YES|NO]", "Closes connections.",
		(*request).clientKill},
	{"list", -2, "[TYPE NORMAL|MASTER|REPLICA|PUBSUB] [ID client-id ...]", "Describes the open connections.",
		(*request).clientList},
	{"setinfo", 4, "LIB-NAME libname|LIB-VER libver", "Notes which library the client uses.", (*request).clientSetInfo},
	{"setname", 3, "connection-name", "Names the connection.", (*request).clientSetName},
}}

// setMeta changes what the client said about itself.
func (c *conn) setMeta(change func(*clientMeta)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := clientMeta{}
	if c.meta != nil {
		m = *c.meta
	}
	change(&m)
	if m == (clientMeta{}) {
		c.meta = nil
		return
	}
	c.meta = &m
}

// about returns what the client said about itself.
func (c *conn) about() clientMeta {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.meta == nil {
		return clientMeta{}
	}
	return *c.meta
}

// describe is the connection's line in CLIENT LIST; resp=0 is the binary protocol. It holds those of Redis's
// fields that this server has a true value for.
func (c *conn) describe(now int64) string {
	m := c.about()
	resp := 2
	switch engine.Protocol(c.proto.Load()) {
	case engine.ProtocolRESP3:
		resp = 3
	case engine.ProtocolBinary:
		resp = 0
	}
	// A parked connection has no buffer beyond what waits in it (qbuf-free), keeps no parsed arguments
	// (argv-mem), and its replies wait in one piece or not at all (obl, oll).
	query, reply := c.queryBytes.Load(), c.replyBytes.Load()
	if p := c.pend.Load(); p != nil {
		reply += p.bytes()
	}
	return fmt.Sprintf("id=%d addr=%s laddr=%s name=%s age=%d idle=%d flags=N db=0 sub=0 psub=0 ssub=0 multi=-1 "+
		"qbuf=%d qbuf-free=0 argv-mem=0 multi-mem=0 obl=0 oll=0 omem=%d tot-mem=%d tot-net-in=%d tot-net-out=%d "+
		"tot-cmds=%d user=default redir=-1 resp=%d lib-name=%s lib-ver=%s\n",
		c.id, c.nc.RemoteAddr(), c.nc.LocalAddr(), m.name, (now-c.born)/1000, (now-c.active.Load())/1000,
		query, reply, connBytes+query+reply, c.bytesIn.Load(), c.bytesOut.Load(),
		c.requests.Load(), resp, m.libName, m.libVer)
}

func (r *request) clientID() { r.int(int64(r.c.id)) }

func (r *request) clientGetName() {
	if name := r.c.about().name; name != "" {
		r.bulk(name)
		return
	}
	r.null()
}

func (r *request) clientSetName() {
	if !printable(r.args[2]) {
		r.fail("ERR Client names cannot contain spaces, newlines or special characters.")
		return
	}
	r.c.setMeta(func(m *clientMeta) { m.name = r.args[2] })
	r.ok()
}

func (r *request) clientSetInfo() {
	option, value := strings.ToLower(r.args[2]), r.args[3]
	if option != "lib-name" && option != "lib-ver" {
		r.fail("ERR Unrecognized option '%s'", quoted(r.args[2]))
		return
	}
	if !printable(value) {
		r.fail("ERR %s cannot contain spaces, newlines or special characters.", option)
		return
	}
	r.c.setMeta(func(m *clientMeta) {
		if option == "lib-name" {
			m.libName = value
		} else {
			m.libVer = value
		}
	})
	r.ok()
}

func (r *request) clientInfo() { r.verbatim(r.c.describe(r.c.srv.store.Now())) }

// clientList is CLIENT LIST [TYPE type] [ID id …].
func (r *request) clientList() {
	show := func(*conn) bool { return true }
	switch {
	case len(r.args) == 2:
	case len(r.args) == 4 && isWord(r.args[2], "TYPE"):
		if !isWord(r.args[3], "NORMAL", "MASTER", "REPLICA", "SLAVE", "PUBSUB") {
			r.fail("ERR Unknown client type '%s'", quoted(r.args[3]))
			return
		}
		normal := isWord(r.args[3], "NORMAL") // every connection is
		show = func(*conn) bool { return normal }
	case len(r.args) > 3 && isWord(r.args[2], "ID"):
		ids := map[uint64]bool{}
		for _, a := range r.args[3:] {
			id, ok := parseIntBelow(a, 1, 1<<62)
			if !ok {
				r.fail("ERR Invalid client ID")
				return
			}
			ids[uint64(id)] = true
		}
		show = func(c *conn) bool { return ids[c.id] }
	default:
		r.syntaxError()
		return
	}
	var list strings.Builder
	now := r.c.srv.store.Now()
	for _, c := range r.c.srv.snapshot() {
		if show(c) {
			list.WriteString(c.describe(now))
		}
	}
	r.verbatim(list.String())
}

// killFilter says which connections CLIENT KILL closes.
type killFilter struct {
	id          uint64 // 0: any
	addr, laddr string // empty: any
	keepMyself  bool
	oldForm     bool // CLIENT KILL ip:port
}

// clientKill is CLIENT KILL ip:port, which answers OK or an error, and CLIENT KILL filter value …, which
// answers how many connections were closed.
func (r *request) clientKill() {
	f, ok := r.parseKill()
	if !ok {
		return
	}
	killed := 0
	for _, c := range r.c.srv.snapshot() {
		if !f.matches(c) || c == r.c && f.keepMyself || !c.killed.CompareAndSwap(false, true) {
			continue
		}
		killed++
		if c == r.c {
			c.over = true // after this reply
		} else {
			c.wake(wakeKill)
		}
	}
	switch {
	case !f.oldForm:
		r.int(int64(killed))
	case killed == 0:
		r.fail("ERR No such client")
	default:
		r.ok()
	}
}

func (r *request) parseKill() (f killFilter, ok bool) {
	if len(r.args) == 3 {
		return killFilter{addr: r.args[2], oldForm: true}, true
	}
	f.keepMyself = true
	if len(r.args)%2 != 0 {
		r.syntaxError()
		return f, false
	}
	for i := 2; i < len(r.args); i += 2 {
		value := r.args[i+1]
		switch {
		case isWord(r.args[i], "ID"):
			id, ok := parseIntBelow(value, 1, 1<<62)
			if !ok {
				r.fail("ERR client-id should be greater than 0")
				return f, false
			}
			f.id = uint64(id)
		case isWord(r.args[i], "ADDR"):
			f.addr = value
		case isWord(r.args[i], "LADDR"):
			f.laddr = value
		case isWord(r.args[i], "SKIPME") && isWord(value, "YES", "NO"):
			f.keepMyself = isWord(value, "YES")
		default:
			r.syntaxError()
			return f, false
		}
	}
	return f, true
}

func (f *killFilter) matches(c *conn) bool {
	return (f.id == 0 || f.id == c.id) &&
		(f.addr == "" || f.addr == c.nc.RemoteAddr().String()) &&
		(f.laddr == "" || f.laddr == c.nc.LocalAddr().String())
}
