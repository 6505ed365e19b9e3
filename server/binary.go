package server

import (
	"encoding/binary"

	"github.com/nitrokv/nitrokv/engine"
	"github.com/nitrokv/nitrokv/proto"
)

// hostBinary runs the requests of the binary protocol that the engine leaves to Go: HELLO, AUTH, STATS, FLUSH and SYNC.
func (c *conn) hostBinary(fd uintptr, ch *engine.Chunk) hostAnswer {
	flags := proto.Flags(ch.HostFlags())
	meta := proto.Meta{ID: ch.HostID(), Flags: flags & proto.FlagIntegrity}
	switch ch.HostVerb() {
	case engine.HostHello:
		return hostAnswer{reply: c.binaryHello(meta, ch.HostArg(0))}
	case engine.HostAuth:
		return c.binaryAuth(fd, ch, meta, flags)
	case engine.HostInfo:
		return hostAnswer{reply: c.binaryStats(meta, string(ch.HostArg(0)[:min(len(ch.HostArg(0)), quoteMax)]))}
	case engine.HostFlush:
		return c.binaryFlush(meta, flags)
	case engine.HostSync:
		return quietly(c.binarySync(meta, flags), flags)
	}
	return hostAnswer{reply: proto.AppendErrorReply(nil, meta, proto.EOPCODE, "")}
}

// binaryFlush removes every key.
func (c *conn) binaryFlush(meta proto.Meta, flags proto.Flags) hostAnswer {
	lsn, err := c.flush()
	if err != nil {
		text := "the store was not flushed: " + err.Error()
		return hostAnswer{reply: proto.AppendErrorReply(nil, meta, statusOf(err), text)}
	}
	return quietly(hostAnswer{reply: proto.AppendReply(nil, meta, proto.OK, ""), lsn: lsn, wrote: true}, flags)
}

// quietly drops an empty reply that a quiet request doesn't want. What it waits for stays: if that fails, the error is
// sent.
func quietly(a hostAnswer, flags proto.Flags) hostAnswer {
	if h, err := proto.ParseHeader(a.reply); err == nil && flags&proto.FlagQuiet != 0 && h.Status() == proto.OK {
		a.reply = nil
	}
	return a
}

// cutString reads a string of the protocol, u16 length and bytes, from the front of a body.
func cutString(body []byte) (text, rest []byte, ok bool) {
	if len(body) < 2 || len(body)-2 < int(binary.LittleEndian.Uint16(body)) {
		return nil, nil, false
	}
	n := 2 + int(binary.LittleEndian.Uint16(body))
	return body[2:n], body[n:], true
}

// pendingMax is how many requests a client may send ahead. Requests run as they come, so nothing here limits it
// but the id's 16 bits.
const pendingMax = 1<<16 - 1

// binaryHello agrees on the version: min u8, max u8, features u32, name u16 and bytes.
func (c *conn) binaryHello(meta proto.Meta, body []byte) []byte {
	if len(body) < 8 || int(binary.LittleEndian.Uint16(body[6:])) != len(body)-8 {
		return proto.AppendErrorReply(nil, meta, proto.EFRAME,
			"HELLO must be min u8, max u8, features u32, name u16 and bytes")
	}
	if low, high := body[0], body[1]; low > proto.Version || high < proto.Version {
		return proto.AppendErrorReply(nil, meta, proto.EUNSUPPORTED, "this server speaks version 1 of the protocol only")
	}
	name := string(body[8:min(len(body), 8+quoteMax)])
	if !printable(name) {
		return proto.AppendErrorReply(nil, meta, proto.EARGUMENT, "the name may have the characters ! to ~ only")
	}
	c.setMeta(func(m *clientMeta) { m.name = name })
	return proto.AppendHelloReply(nil, meta, proto.HelloReply{
		Version:    proto.Version,
		Features:   0, // version 1 defines none
		FrameMax:   proto.LengthMax,
		KeyMax:     proto.KeyMax,
		ValueMax:   uint32(c.srv.opt.MaxValue),
		PendingMax: pendingMax,
		Connection: c.id,
		Server:     "nitrokv " + engine.Version,
	})
}

// binaryStats is INFO for one section, or for all with an empty name.
func (c *conn) binaryStats(meta proto.Meta, section string) []byte {
	var names []string
	if section != "" {
		names = []string{section}
	}
	text, found := c.srv.infoOf(names)
	if !found {
		return proto.AppendErrorReply(nil, meta, proto.EARGUMENT, "no such section")
	}
	return proto.AppendReply(nil, meta, proto.OK, text)
}
