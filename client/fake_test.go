package client

import (
	"errors"
	"maps"
	"net"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/nitrokv/nitrokv/proto"
)

// fakeServer is a NitroKV server for tests: a map, the codec, and hooks to misbehave with.
type fakeServer struct {
	listener net.Listener
	wg       sync.WaitGroup

	// Set before the first connection.
	hello    proto.HelloReply
	password string                                          // of the user "default"; empty: none is asked for
	frameMax uint32                                          // of replies
	hook     func(c *fakeConn, m *proto.Message) (done bool) // sees each request before the map does

	mu      sync.Mutex // guards the fields below
	store   map[string]fakeEntry
	version uint64
	conns   map[*fakeConn]bool
	greeted int // connections that said HELLO
}

type fakeEntry struct {
	value   []byte
	version uint64
	expiry  int64
}

// fakeConn is one connection of a fakeServer.
type fakeConn struct {
	server *fakeServer
	net    net.Conn
	proved bool       // AUTH went well; used by serve alone
	mu     sync.Mutex // one reply at a time
}

// newFake returns a server that listens, and that ends with the test.
func newFake(t testing.TB) *fakeServer {
	t.Helper()
	s, err := listenFake()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.stop)
	return s
}

func listenFake() (*fakeServer, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	return &fakeServer{listener: l, store: map[string]fakeEntry{}, conns: map[*fakeConn]bool{},
		hello: proto.HelloReply{Version: 1, FrameMax: proto.LengthMax, KeyMax: proto.KeyMax, ValueMax: 512 << 20,
			PendingMax: 65535, Server: "fake"}}, nil
}

// start begins to accept connections.
func (s *fakeServer) start() *fakeServer {
	s.wg.Go(s.accept)
	return s
}

// StartFake starts a server for the examples, which live outside this package as their readers do.
func StartFake() (addr string, stop func()) {
	s, err := listenFake()
	if err != nil {
		panic(err)
	}
	return s.start().addr(), s.stop
}

func (s *fakeServer) stop() {
	_ = s.listener.Close()
	s.dropAll()
	s.wg.Wait()
}

func (s *fakeServer) addr() string { return s.listener.Addr().String() }

func (s *fakeServer) accept() {
	for {
		nc, err := s.listener.Accept()
		if err != nil {
			return
		}
		c := &fakeConn{server: s, net: nc}
		s.mu.Lock()
		s.conns[c] = true
		s.mu.Unlock()
		s.wg.Go(c.serve)
	}
}

// dropAll closes every connection.
func (s *fakeServer) dropAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		_ = c.net.Close()
	}
}

func (c *fakeConn) serve() {
	defer func() {
		_ = c.net.Close()
		c.server.mu.Lock()
		delete(c.server.conns, c)
		c.server.mu.Unlock()
	}()
	r := proto.NewReader(c.net, proto.KindRequest, proto.Limits{})
	for {
		m, err := r.Next()
		var fe *proto.FrameError
		if errors.As(err, &fe) {
			c.send(proto.AppendErrorReply(nil, proto.Meta{ID: fe.ID}, fe.Status, fe.Msg))
			if fe.Fatal {
				return
			}
			continue
		}
		if err != nil {
			return // the client has gone, or the test has closed the connection
		}
		if hook := c.server.hook; hook != nil && m.Op() != proto.OpHello && hook(c, &m) {
			continue
		}
		if refusal := c.checkProof(&m); refusal != nil {
			c.send(refusal)
			continue
		}
		c.send(c.server.answer(&m))
	}
}

// checkProof takes AUTH to heart, and refuses what must not come before it.
func (c *fakeConn) checkProof(m *proto.Message) (refusal []byte) {
	meta := proto.Meta{ID: m.ID, Flags: m.Flags & proto.FlagIntegrity}
	if m.Op() == proto.OpAuth {
		r, err := proto.ParseRequest(m)
		switch {
		case err != nil:
			return nil // answer says what is wrong
		case c.server.password == "":
			return proto.AppendErrorReply(nil, meta, proto.EARGUMENT, "no password is set")
		case r.Auth != proto.Auth{User: "default", Password: c.server.password}:
			return proto.AppendErrorReply(nil, meta, proto.EAUTHFAILED, "")
		}
		c.proved = true
	}
	if c.server.password != "" && !c.proved && m.Op() != proto.OpHello {
		return proto.AppendErrorReply(nil, meta, proto.EAUTHREQUIRED, "")
	}
	return nil
}

func (c *fakeConn) send(b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, _ = c.net.Write(b) // a client that has gone is part of the tests
}

// answer carries a request out and returns the encoded reply.
func (s *fakeServer) answer(m *proto.Message) []byte {
	meta := proto.Meta{ID: m.ID, Flags: m.Flags & proto.FlagIntegrity, FrameMax: s.frameMax}
	r, err := proto.ParseRequest(m)
	if err != nil {
		var fe *proto.FrameError
		errors.As(err, &fe)
		return proto.AppendErrorReply(nil, meta, fe.Status, fe.Msg)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch r.Op {
	case proto.OpHello:
		s.greeted++
		h := s.hello
		h.Connection = uint64(s.greeted)
		return proto.AppendHelloReply(nil, meta, h)
	case proto.OpEcho, proto.OpStats:
		return proto.AppendReply(nil, meta, proto.OK, r.Value)
	case proto.OpCount:
		return proto.AppendUint64Reply(nil, meta, uint64(len(s.store)))
	case proto.OpFlush:
		clear(s.store)
	case proto.OpScan:
		return s.scan(meta, &r)
	case proto.OpMGet, proto.OpMSet, proto.OpMSetX, proto.OpMDelete, proto.OpMExists:
		return s.many(meta, &r)
	case proto.OpSet, proto.OpSetX:
		return s.set(meta, &r)
	case proto.OpRandomKey:
		for key := range s.store {
			return proto.AppendReply(nil, meta, proto.OK, key)
		}
		return proto.AppendReply(nil, meta, proto.ENOTFOUND, "")
	case proto.OpNoop, proto.OpSync, proto.OpAuth:
	default:
		return s.keyed(meta, &r)
	}
	return proto.AppendReply(nil, meta, proto.OK, "")
}

func (s *fakeServer) get(key []byte) (fakeEntry, bool) {
	e, ok := s.store[string(key)]
	if ok && e.expiry != 0 && e.expiry <= time.Now().UnixMilli() {
		delete(s.store, string(key))
		return fakeEntry{}, false
	}
	return e, ok
}

func (s *fakeServer) put(key, value []byte, expiry int64) uint64 {
	s.version++
	if expiry < 0 {
		expiry = time.Now().UnixMilli() - expiry
	}
	s.store[string(key)] = fakeEntry{value: slices.Clone(value), version: s.version, expiry: expiry}
	return s.version
}

func (s *fakeServer) set(meta proto.Meta, r *proto.Request) []byte {
	e, found := s.get(r.Key)
	if r.Flags&proto.FlagVersion != 0 && e.version != r.Version {
		return proto.AppendReply(nil, meta, proto.EVERSION, "")
	}
	if r.Options&proto.SetXIfAbsent != 0 && found || r.Options&proto.SetXIfPresent != 0 && !found {
		return proto.AppendReply(nil, meta, proto.ENOTSTORED, "")
	}
	expiry := r.Expiry
	if r.Options&proto.SetXKeepTTL != 0 {
		expiry = e.expiry
	}
	meta.Version = s.put(r.Key, r.Value, expiry)
	if r.Options&proto.SetXVersion != 0 {
		meta.Flags |= proto.FlagVersion
	}
	return proto.AppendReply(nil, meta, proto.OK, "")
}

// keyed carries out the requests on one key other than sets.
func (s *fakeServer) keyed(meta proto.Meta, r *proto.Request) []byte {
	e, found := s.get(r.Key)
	switch r.Op {
	case proto.OpIncr:
		return s.incr(meta, r, e)
	case proto.OpIncrFloat, proto.OpAppend, proto.OpSetRange:
		return s.edit(meta, r, e)
	}
	if !found {
		return proto.AppendReply(nil, meta, proto.ENOTFOUND, "")
	}
	switch r.Op {
	case proto.OpGet:
		return proto.AppendReply(nil, meta, proto.OK, e.value)
	case proto.OpGetDel, proto.OpGetEx, proto.OpGetRange:
		return s.take(meta, r, e)
	case proto.OpRename, proto.OpCopy:
		return s.name(meta, r, e)
	case proto.OpGetX:
		meta.Flags |= proto.FlagVersion
		meta.Version = e.version
		if e.expiry != 0 {
			meta.Flags |= proto.FlagExpiry
			meta.Expiry = e.expiry
		}
		return proto.AppendReply(nil, meta, proto.OK, e.value)
	case proto.OpDelete:
		delete(s.store, string(r.Key))
	case proto.OpExpire, proto.OpExpireX:
		return s.expire(meta, r, e)
	case proto.OpExpireTime:
		if e.expiry == 0 {
			e.expiry = -1
		}
		return proto.AppendInt64Reply(nil, meta, e.expiry)
	case proto.OpTTL:
		ttl := int64(-1)
		if e.expiry != 0 {
			ttl = e.expiry - time.Now().UnixMilli()
		}
		return proto.AppendInt64Reply(nil, meta, ttl)
	case proto.OpPersist:
		s.put(r.Key, e.value, 0)
		return proto.AppendPersistReply(nil, meta, e.expiry != 0)
	case proto.OpMemory:
		return proto.AppendUint64Reply(nil, meta, uint64(len(r.Key)+len(e.value)+20))
	}
	return proto.AppendReply(nil, meta, proto.OK, "")
}

func (s *fakeServer) incr(meta proto.Meta, r *proto.Request, e fakeEntry) []byte {
	n := int64(0)
	if e.value != nil {
		var err error
		if n, err = strconv.ParseInt(string(e.value), 10, 64); err != nil {
			return proto.AppendErrorReply(nil, meta, proto.ENOTNUMBER, "")
		}
	}
	s.put(r.Key, strconv.AppendInt(nil, n+r.Delta, 10), e.expiry)
	return proto.AppendInt64Reply(nil, meta, n+r.Delta)
}

func (s *fakeServer) many(meta proto.Meta, r *proto.Request) []byte {
	if r.Op == proto.OpMSet || r.Op == proto.OpMSetX {
		return s.setMany(meta, r)
	}
	var values [][]byte
	count := uint32(0)
	for k := range r.Keys() {
		e, found := s.get(k)
		values = append(values, e.value)
		if !found {
			continue
		}
		count++
		if r.Op == proto.OpMDelete {
			delete(s.store, string(k))
		}
	}
	if r.Op == proto.OpMGet {
		return proto.AppendValuesReply(nil, meta, values)
	}
	return proto.AppendUint32Reply(nil, meta, count)
}

func (s *fakeServer) setMany(meta proto.Meta, r *proto.Request) []byte {
	for k := range r.Pairs() {
		if _, taken := s.get(k); taken && r.Options&proto.MSetXIfAbsent != 0 {
			return proto.AppendReply(nil, meta, proto.ENOTSTORED, "")
		}
	}
	for k, v := range r.Pairs() {
		s.put(k, v, r.Expiry)
	}
	return proto.AppendReply(nil, meta, proto.OK, "")
}

// scan walks the keys in order; the cursor is the number of keys passed.
func (s *fakeServer) scan(meta proto.Meta, r *proto.Request) []byte {
	keys := slices.Sorted(maps.Keys(s.store))
	from := min(int(r.Scan.Cursor), len(keys))
	to := min(from+int(r.Scan.Count), len(keys))
	var entries []proto.ScanEntry
	for _, k := range keys[from:to] {
		e := s.store[k]
		entries = append(entries, proto.ScanEntry{Key: []byte(k), Version: e.version, Expiry: e.expiry,
			Size: uint32(len(e.value))})
	}
	cursor := uint64(to)
	if to == len(keys) {
		cursor = 0
	}
	return proto.AppendScanReply(nil, meta, r.Scan.Options, cursor, entries)
}
