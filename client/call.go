package client

import (
	"sync"

	"github.com/nitrokv/nitrokv/proto"
)

// call is a request under way. It belongs to the goroutine that makes the call; the connection's reader
// owns it from the moment it has claimed it (removed it from conn.calls) until it signals done.
type call struct {
	dst []byte // where the caller wants the body appended; may be nil

	// set by conn.send
	id  uint16
	end int64 // position in the connection's output behind the request

	// set by the reader before done
	status  proto.Status
	version uint64
	expiry  int64
	body    []byte // dst with the body of a reply of class 0 or 1 appended
	text    string // the body of any other reply
	lost    error  // the connection broke
	unsent  bool   // … before the request had left: it surely was not carried out

	done  chan struct{} // capacity 1: signalled once per send
	small [8]byte       // room for a number, so that such replies need no allocation
}

var callPool = sync.Pool{New: func() any { return &call{done: make(chan struct{}, 1)} }}

func newCall(dst []byte) *call {
	ca := callPool.Get().(*call)
	ca.dst = dst
	return ca
}

// newSmallCall is for requests whose replies have at most eight bytes.
func newSmallCall() *call {
	ca := newCall(nil)
	ca.dst = ca.small[:0]
	return ca
}

// free gives the call back; nobody else may know it any more.
func (ca *call) free() {
	*ca = call{done: ca.done}
	callPool.Put(ca)
}

// reset prepares for (another) send.
func (ca *call) reset() { *ca = call{dst: ca.dst, done: ca.done} }

// answer fills the call from its reply.
func (ca *call) answer(m *proto.Message) {
	ca.status = m.Status()
	if ca.status.Class() > proto.ClassNegative {
		ca.text = string(m.Body)
		ca.done <- struct{}{}
		return
	}
	ca.version, ca.expiry = m.Version, m.Expiry
	if ca.dst == nil {
		ca.dst = make([]byte, 0, len(m.Body)) // exact: append would round up
	}
	ca.body = append(ca.dst, m.Body...)
	ca.done <- struct{}{}
}

// fail ends the call because its connection broke.
func (ca *call) fail(lost error, unsent bool) {
	ca.lost, ca.unsent = lost, unsent
	ca.done <- struct{}{}
}
