package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"time"

	"github.com/nitrokv/nitrokv/proto"
)

const (
	muxWindow = 64         // GETs under way on the connection
	muxSets   = 1<<16 - 65 // SETs under way at most: what is left of the ids
	muxShare  = 9          // GETs for each SET: 10 % of all requests are SETs
)

// A muxLoad is one connection of the binary protocol as many callers share it: a fixed number of GETs is under way all the
// time, and SETs go along without anybody waiting for their replies before sending the next GET.
type muxLoad struct {
	conn     net.Conn
	in       *proto.Reader
	rng      *rand.Rand
	keys     int
	value    []byte
	sets     bool
	out, key []byte
	free     []uint16 // ids for GETs
	freeSets []uint16 // ids for SETs
	sinceSet int
	gets     int // answered
}

// runMux is the subcommand: it measures and prints a loadResult about the GETs as JSON.
func runMux(ctx context.Context, args []string, stdout io.Writer) error {
	fs := newFlagSet("peers mux")
	addr := fs.String("addr", "", "the server's address")
	keys := fs.Int("keys", 1_000_000, "number of keys")
	valueSize := fs.Int("value-size", 64, "bytes of a value")
	duration := fs.Duration("duration", time.Second, "how long")
	sets := fs.Bool("sets", false, "let 10 % of the requests be SETs")
	if err := fs.Parse(args); err != nil {
		return refusef("%v", err)
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", *addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(*duration + time.Minute)); err != nil {
		return err
	}
	m := newMuxLoad(conn, *keys, *valueSize, *sets)
	began := time.Now()
	for time.Since(began) < *duration && ctx.Err() == nil {
		if err := m.turn(); err != nil {
			return err
		}
	}
	seconds := time.Since(began).Seconds()
	result := loadResult{Requests: float64(m.gets), OpsPerSecond: float64(m.gets) / seconds}
	if err := m.drain(); err != nil {
		return err
	}
	return json.NewEncoder(stdout).Encode(result)
}

func newMuxLoad(conn net.Conn, keys, valueSize int, sets bool) *muxLoad {
	m := &muxLoad{conn: conn, in: proto.NewReader(conn, proto.KindReply, proto.Limits{}), keys: keys, sets: sets,
		rng: rand.New(rand.NewPCG(1, 2))}
	m.value = randomBytes(m.rng, valueSize)
	for id := range uint16(muxWindow) {
		m.free = append(m.free, id)
	}
	for id := range uint16(muxSets) {
		m.freeSets = append(m.freeSets, muxWindow+id)
	}
	return m
}

// turn sends as many GETs as were answered, and their share of SETs, and takes the replies that are there, at least one.
func (m *muxLoad) turn() error {
	m.out = m.out[:0]
	for len(m.free) > 0 {
		id := m.free[len(m.free)-1]
		m.free = m.free[:len(m.free)-1]
		m.key = appendKey(m.key[:0], m.rng.IntN(m.keys))
		m.out = proto.AppendGet(m.out, proto.Meta{ID: id}, m.key)
		if m.sinceSet++; m.sets && m.sinceSet >= muxShare {
			m.appendSet()
		}
	}
	if _, err := m.conn.Write(m.out); err != nil {
		return err
	}
	return m.take()
}

// appendSet adds a SET unless all ids are under way; then one is due with each further GET.
func (m *muxLoad) appendSet() {
	if len(m.freeSets) == 0 {
		return
	}
	id := m.freeSets[len(m.freeSets)-1]
	m.freeSets = m.freeSets[:len(m.freeSets)-1]
	m.key = appendKey(m.key[:0], m.rng.IntN(m.keys))
	m.out = proto.AppendSet(m.out, proto.Meta{ID: id}, m.key, m.value)
	m.sinceSet = 0
}

// take reads at least one reply, and all that have arrived with it.
func (m *muxLoad) take() error {
	for {
		reply, err := m.in.Next()
		if err != nil {
			return err
		}
		if reply.Status() != proto.OK {
			return fmt.Errorf("request %d was answered with %v: %.80q", reply.ID, reply.Status(), reply.Body)
		}
		if reply.ID < muxWindow {
			m.gets++
			m.free = append(m.free, reply.ID)
		} else {
			m.freeSets = append(m.freeSets, reply.ID)
		}
		if m.in.Buffered() == 0 {
			return nil
		}
	}
}

// drain takes the replies that are still due.
func (m *muxLoad) drain() error {
	for len(m.free) < muxWindow || len(m.freeSets) < muxSets {
		if err := m.take(); err != nil {
			return err
		}
	}
	return nil
}

// muxRow compares the GETs per second of a connection that also carries SETs with those of one that doesn't.
func muxRow(ctx context.Context, s *session) (res result, err error) {
	ours, err := s.folder("nitrokv")
	if err != nil {
		return result{}, err
	}
	started, stop, err := s.contest(ctx, []kind{loggedKind("always", ours)}, ours)
	if err != nil {
		return result{}, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	const alone, mixed = "GETs alone", "GETs beside SETs"
	targets := []target{{name: alone, server: started[0].server}, {name: mixed, server: started[0].server}}
	got, err := s.takeTurns(targets, func(t target) (sample, error) {
		text, err := output(ctx, s.dir, anyCPU, s.self, "mux", "-addr", t.server.addr, "-keys", strconv.Itoa(s.cfg.keys),
			"-value-size", strconv.Itoa(s.cfg.valueSize), "-duration", s.cfg.duration.String(), "-sets="+strconv.FormatBool(t.name == mixed))
		if err != nil {
			return sample{}, err
		}
		r, err := parseReport(text)
		return sample{opsPerSecond: r.OpsPerSecond}, err
	})
	if err != nil {
		return result{}, err
	}
	res = result{value: got.ratio(mixed, alone, opsPerSecond), notes: []string{fmt.Sprintf("%d GETs under way at any time", muxWindow)}}
	for _, name := range got.order {
		res.series = append(res.series, series{name, "GET/s", got.values(name, opsPerSecond)})
	}
	return res, nil
}
