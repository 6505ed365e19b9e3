package codec

import (
	"slices"
	"testing"

	"github.com/nitrokv/nitrokv/proto"
)

// answer is a reply as far as it doesn't depend on a store's secrets.
type answer struct {
	id     uint16
	status proto.Status
}

// inStep feeds the stream to a fresh store message by message, with one more cut at `cut`, and compares each verdict
// with the replies. It returns all answers.
func inStep(t *testing.T, stream []byte, cut int) []answer {
	t.Helper()
	s := openSide(t)
	defer s.close()
	var answers []answer
	fed := 0
	upTo := func(end int) (replies []proto.Message) {
		if fed < cut && cut < end {
			replies = s.client.feed(stream[fed:cut])
			fed = cut
		}
		replies = append(replies, s.client.feed(stream[fed:end])...)
		fed = end
		for i := range replies {
			answers = append(answers, answer{replies[i].ID, replies[i].Status()})
		}
		return replies
	}
	j := newJudge(stream)
	for {
		v, ok := j.next()
		switch {
		case !ok:
			if rest := upTo(len(stream)); len(rest) > 0 || s.client.closed {
				t.Fatalf("for Go nothing ends behind byte %d; the engine closed: %v, and sent %v", v.end, s.client.closed, rest)
			}
			return answers
		case v.lost:
			s.compare(&v, upTo(len(stream)))
			return answers
		}
		s.compare(&v, upTo(v.end))
	}
}

// compare demands that the engine has answered one message, and how Go judges it.
func (s *side) compare(v *verdict, replies []proto.Message) {
	s.t.Helper()
	if s.client.closed != v.lost {
		s.t.Fatalf("%s: the framing is lost for Go: %v, for the engine: %v, which sent %v", v.text, v.lost, s.client.closed,
			replies)
	}
	if len(replies) == 0 && v.silent() {
		return
	}
	if len(replies) != 1 || replies[0].ID != v.id {
		s.t.Fatalf("%s: want one reply with id %d, got %v", v.text, v.id, replies)
	}
	reply := &replies[0]
	if v.request != nil && (reply.Flags^v.request.Flags)&proto.FlagIntegrity != 0 {
		s.t.Fatalf("%s: request flags %#02x, reply flags %#02x: only one has INTEGRITY", v.text, v.request.Flags, reply.Flags)
	}
	if v.refused != proto.OK {
		if !v.refuses(reply.Status()) {
			s.t.Fatalf("%s: Go refuses with %s, the engine answers %s %q", v.text, v.refused.String(),
				reply.Status().String(), reply.Body)
		}
		return
	}
	if !v.allows(reply.Status()) {
		s.t.Fatalf("%s: Go accepts, the engine answers %s %q", v.text, reply.Status().String(), reply.Body)
	}
	if v.silent() && reply.Status().Class() <= proto.ClassNegative && len(reply.Body) == 0 &&
		reply.Flags&^proto.FlagIntegrity == 0 {
		s.t.Fatalf("%s: an empty reply to a quiet request", v.text)
	}
	s.checkEffect(v.request, reply)
}

// atOnce feeds the stream to a fresh store in two pieces.
func atOnce(t *testing.T, stream []byte, cut int) (answers []answer) {
	t.Helper()
	s := openSide(t)
	defer s.close()
	for _, m := range slices.Concat(s.client.feed(stream[:cut]), s.client.feed(stream[cut:])) {
		answers = append(answers, answer{m.ID, m.Status()})
	}
	return answers
}

func checkAgreement(t *testing.T, stream []byte, cut int) {
	t.Helper()
	want := inStep(t, stream, cut)
	if got := atOnce(t, stream, cut); !slices.Equal(got, want) {
		t.Fatalf("cut at byte %d only: answers %v, message by message: %v", cut, got, want)
	}
}

func TestVectorsAgreeWhereverTheyAreCut(t *testing.T) {
	for _, v := range loadVectors(t) {
		t.Run(v.name, func(t *testing.T) {
			for cut := range len(v.bytes) + 1 {
				checkAgreement(t, v.bytes, cut)
			}
		})
	}
}

func TestLongInputsAgree(t *testing.T) {
	for name, stream := range long(t) {
		t.Run(name, func(t *testing.T) {
			for _, cut := range []int{0, 1, len(stream) / 2, len(stream) - 1} {
				checkAgreement(t, stream, cut)
			}
		})
	}
}

// FuzzCodecsAgree: both codecs see the same in any bytes, cut anywhere.
func FuzzCodecsAgree(f *testing.F) {
	for _, v := range loadVectors(f) {
		f.Add(v.bytes, uint16(len(v.bytes)/2))
	}
	f.Fuzz(func(t *testing.T, stream []byte, cut uint16) {
		checkAgreement(t, stream, min(int(cut), len(stream)))
	})
}
