package server

import "errors"

// clientList holds the open connections in the order of their ids, linked through the connections themselves: a
// map would cost an idle connection more than its links.
type clientList struct {
	first, last *conn
	count       int
}

func (l *clientList) add(c *conn) {
	c.prev = l.last
	if l.last != nil {
		l.last.next = c
	} else {
		l.first = c
	}
	l.last = c
	l.count++
}

func (l *clientList) remove(c *conn) {
	if c.prev != nil {
		c.prev.next = c.next
	} else {
		l.first = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	} else {
		l.last = c.prev
	}
	c.prev, c.next = nil, nil
	l.count--
}

var errTooManyClients = errors.New("server: too many clients")

// connBytes is what an open connection costs the process outside the kernel, told to the engine so that the
// memory limit covers it: a goroutine's stack, the connection's structs in Go and the session in C (measured by
// TestIdleConnections).
const connBytes = 4096

// register adds a connection unless the server is closing or full. The connection then counts for Shutdown.
func (s *Server) register(c *conn) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return ErrServerClosed
	}
	if int64(s.clients.count) >= s.live.maxClients.Load() {
		return errTooManyClients
	}
	if err := s.store.AddClientBytes(connBytes); err != nil {
		return err
	}
	c.id = s.total.nextID.Add(1)
	s.clients.add(c)
	s.conns.Add(1)
	return nil
}

// unregister removes a connection and keeps its counters in the totals.
func (s *Server) unregister(c *conn) {
	s.mu.Lock()
	s.clients.remove(c)
	s.total.requests.Add(c.requests.Load())
	s.total.bytesIn.Add(c.bytesIn.Load())
	s.total.bytesOut.Add(c.bytesOut.Load())
	s.mu.Unlock()
	if err := s.store.AddClientBytes(-connBytes); err != nil {
		s.log.Error("the memory of a closed connection cannot be given back", "client", c.id, "error", err)
	}
}

// traffic sums the counters of closed and open connections.
func (s *Server) traffic() (requests, bytesIn, bytesOut uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	requests, bytesIn, bytesOut = s.total.requests.Load(), s.total.bytesIn.Load(), s.total.bytesOut.Load()
	for c := s.clients.first; c != nil; c = c.next {
		requests += c.requests.Load()
		bytesIn += c.bytesIn.Load()
		bytesOut += c.bytesOut.Load()
	}
	return requests, bytesIn, bytesOut
}

// connected is the number of open connections.
func (s *Server) connected() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.clients.count
}

// snapshot returns the open connections that nobody has killed, by id.
func (s *Server) snapshot() []*conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]*conn, 0, s.clients.count)
	for c := s.clients.first; c != nil; c = c.next {
		if !c.killed.Load() {
			out = append(out, c)
		}
	}
	return out
}
