package proto_test

import (
	"bytes"
	"fmt"

	"github.com/nitrokv/nitrokv/proto"
)

// A server's side: requests come in, replies go out, ids tell them apart.
func ExampleReader() {
	input := proto.AppendSet(nil, proto.Meta{ID: 1}, "user:1", "Ada")
	input = proto.AppendGet(input, proto.Meta{ID: 2}, "user:1")
	r := proto.NewReader(bytes.NewReader(input), proto.KindRequest, proto.Limits{})
	for {
		m, err := r.Next()
		if err != nil {
			fmt.Println(err)
			return
		}
		request, err := proto.ParseRequest(&m)
		fmt.Printf("%d %v key=%s value=%s %v\n", request.ID, request.Op, request.Key, request.Value, err)
	}
	// Output:
	// 1 SET key=user:1 value=Ada <nil>
	// 2 GET key=user:1 value= <nil>
	// EOF
}

// An old client acts on the class of a status that it doesn't know.
func ExampleStatus_Class() {
	fromTheFuture := proto.Status(0x4F)
	fmt.Println(fromTheFuture.Known(), fromTheFuture.Class())
	// Output: false not applied, try again
}

// A body longer than FrameMax leaves as several frames.
func ExampleAppendSet_chunks() {
	wire := proto.AppendSet(nil, proto.Meta{ID: 5, FrameMax: 11}, "chunked", "v1v2")
	fmt.Printf("% X\n", wire)
	// Output: F5 11 05 00 20 0B 00 00 07 00 63 68 75 6E 6B 65 64 76 31 F5 11 05 00 00 02 00 00 76 32
}
