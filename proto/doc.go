// Package proto is the NitroKV binary protocol: constants, statuses, and a codec in pure Go that uses
// the standard library only. PROTOCOL.md beside this file is the specification; testdata/vectors.json
// holds golden vectors that this codec, the client and the C codec of the engine all run.
//
// # Frames
//
// Everything on the wire is a frame: an 8-byte [Header], optional blocks that the header's flags
// announce (collected in a [Meta]), and a body. Every request is encoded by one Append function and
// appended to a slice that the caller owns, so a pipeline is a sequence of appends and one write:
//
//	buf := proto.AppendSet(nil, proto.Meta{ID: 1}, "user:1", "Ada")
//	buf = proto.AppendGet(buf, proto.Meta{ID: 2}, "user:1")
//	if _, err := conn.Write(buf); err != nil {
//		return err
//	}
//	r := proto.NewReader(conn, proto.KindReply, proto.Limits{})
//	for range 2 {
//		f, err := r.Next() // replies may come in any order; f.ID says which request it answers
//		if err != nil {
//			return err
//		}
//		fmt.Println(f.ID, f.Status(), string(f.Body))
//	}
//
// Nothing is allocated by an Append function when the slice has room. A body that is longer than
// Meta.FrameMax leaves as a sequence of frames, and [Reader] joins such sequences again.
//
// # Reading
//
// [Reader] turns a byte stream into whole messages. It checks lengths and checksums, joins chunked
// messages, and grows its memory with what has arrived, never with what was announced. [ParseRequest]
// and the Parse functions for replies take a message apart without copying: what they return borrows
// from the message. No input makes them panic.
//
// # Errors
//
// A [Status] is an error and a byte on the wire at the same time; its [Class] tells a client what to
// do with a code that it doesn't know. Malformed input is reported as a [*FrameError], which says
// whether the framing is lost (the connection must be closed) or only one message is bad.
//
// # Concurrency
//
// All functions may be called from many goroutines; a Reader belongs to one at a time.
package proto
