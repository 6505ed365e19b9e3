package load

import (
	"bytes"
	"strconv"
)

// respWire is RESP2 as any Redis-compatible server speaks it.
type respWire struct {
	get []byte // a GET with room for the key
	set []byte // a SET up to and with the key's end
}

// Offsets of the key in the templates.
const (
	respGetKey = len("*2\r\n$3\r\nGET\r\n$16\r\n")
	respSetKey = len("*3\r\n$3\r\nSET\r\n$16\r\n")
)

// newRESPWire makes the templates; every key has the prefix.
func newRESPWire(prefix string) *respWire {
	return &respWire{
		get: []byte("*2\r\n$3\r\nGET\r\n$16\r\n" + prefix + keyZero + "\r\n"),
		set: []byte("*3\r\n$3\r\nSET\r\n$16\r\n" + prefix + keyZero + "\r\n$"),
	}
}

func (w *respWire) ordered() bool { return true }

func (w *respWire) appendGet(dst []byte, _ uint16, key uint64) []byte {
	at := len(dst)
	dst = append(dst, w.get...)
	putKey(dst[at+respGetKey:], key)
	return dst
}

func (w *respWire) appendSet(dst []byte, _ uint16, key uint64, value []byte) []byte {
	at := len(dst)
	dst = append(dst, w.set...)
	putKey(dst[at+respSetKey:], key)
	dst = strconv.AppendUint(dst, uint64(len(value)), 10)
	dst = append(dst, '\r', '\n')
	dst = append(dst, value...)
	return append(dst, '\r', '\n')
}

// parse knows the replies to GET and SET and no others: an array, say, ends the run.
func (w *respWire) parse(b []byte) reply {
	if len(b) < 3 {
		return reply{need: 3}
	}
	switch b[0] {
	case '$':
		return parseBulk(b)
	case '+', '-', '_':
		end := bytes.IndexByte(b, '\n')
		if end < 0 {
			return lineReply(b)
		}
		return parseLine(b, end)
	}
	return garbage(b)
}

// lineMax bounds a status or error line, so that a peer that isn't a server can't make the buffer grow.
const lineMax = 64 << 10

func lineReply(b []byte) reply {
	if len(b) > lineMax {
		return garbage(b)
	}
	return reply{need: len(b) + 1}
}

func parseLine(b []byte, end int) reply {
	body := bytes.TrimSuffix(b[1:end], []byte{'\r'})
	r := reply{size: end + 1, body: body}
	switch {
	case b[0] == '-':
		r.kind = kindError
	case b[0] == '_':
		r.kind = kindMiss
	case string(body) == "OK":
		r.kind = kindStored
	default:
		return garbage(b)
	}
	return r
}

func parseBulk(b []byte) reply {
	if b[1] == '-' { // $-1
		if len(b) < 5 {
			return reply{need: 5}
		}
		if string(b[:5]) != "$-1\r\n" {
			return garbage(b)
		}
		return reply{size: 5, kind: kindMiss}
	}
	n, at := 0, 1
	for ; at < len(b) && b[at] >= '0' && b[at] <= '9'; at++ {
		if n = n*10 + int(b[at]-'0'); n > 512<<20 {
			return garbage(b)
		}
	}
	if at+1 >= len(b) {
		return reply{need: at + 2}
	}
	start, size := at+2, at+2+n+2
	if at == 1 || b[at] != '\r' || b[at+1] != '\n' {
		return garbage(b)
	}
	if len(b) < size {
		return reply{need: size}
	}
	if b[size-2] != '\r' || b[size-1] != '\n' {
		return garbage(b[size-2:])
	}
	return reply{size: size, kind: kindValue, body: b[start : size-2]}
}
