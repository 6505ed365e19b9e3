package main

import (
	"fmt"
	"strconv"
)

// A wire is the little of a text protocol that loading and measuring needs. All replies to hits have a known size, so
// that a load counts bytes and compares them instead of parsing.
type wire struct {
	name      string
	ping      string // a request, and how its reply begins
	pong      string
	setReply  string
	delReply  string
	appendSet func(dst, key, value []byte) []byte
	appendGet func(dst, key []byte) []byte
	appendDel func(dst, key []byte) []byte
	getReply  func(dst, key, value []byte) []byte
}

var respWire = wire{
	name: "resp",
	ping: "*1\r\n$4\r\nPING\r\n", pong: "+PONG\r\n",
	setReply: "+OK\r\n",
	delReply: ":1\r\n",
	appendSet: func(dst, key, value []byte) []byte {
		return appendBulk(appendBulk(append(dst, "*3\r\n$3\r\nSET\r\n"...), key), value)
	},
	appendGet: func(dst, key []byte) []byte { return appendBulk(append(dst, "*2\r\n$3\r\nGET\r\n"...), key) },
	appendDel: func(dst, key []byte) []byte { return appendBulk(append(dst, "*2\r\n$3\r\nDEL\r\n"...), key) },
	getReply:  func(dst, _, value []byte) []byte { return appendBulk(dst, value) },
}

var memcachedWire = wire{
	name: "memcached",
	ping: "version\r\n", pong: "VERSION ",
	setReply: "STORED\r\n",
	delReply: "DELETED\r\n",
	appendSet: func(dst, key, value []byte) []byte {
		dst = append(append(append(dst, "set "...), key...), " 0 0 "...)
		dst = append(strconv.AppendInt(dst, int64(len(value)), 10), "\r\n"...)
		return append(append(dst, value...), "\r\n"...)
	},
	appendGet: func(dst, key []byte) []byte { return appendLine(dst, "get ", key) },
	appendDel: func(dst, key []byte) []byte { return appendLine(dst, "delete ", key) },
	getReply: func(dst, key, value []byte) []byte {
		dst = append(append(append(dst, "VALUE "...), key...), " 0 "...)
		dst = append(strconv.AppendInt(dst, int64(len(value)), 10), "\r\n"...)
		return append(append(dst, value...), "\r\nEND\r\n"...)
	},
}

// echoWire sends what a RESP client would send and expects it back.
var echoWire = wire{
	name: "echo",
	ping: respWire.ping, pong: respWire.ping,
	appendSet: respWire.appendSet,
	appendGet: respWire.appendGet,
}

func appendBulk(dst, b []byte) []byte {
	dst = append(strconv.AppendInt(append(dst, '$'), int64(len(b)), 10), "\r\n"...)
	return append(append(dst, b...), "\r\n"...)
}

func appendLine(dst []byte, verb string, key []byte) []byte {
	return append(append(append(dst, verb...), key...), "\r\n"...)
}

// appendKey appends key number i, 16 bytes, the same as those of "nitrokv bench".
func appendKey(dst []byte, i int) []byte {
	return fmt.Appendf(dst, "key:%012d", i)
}
