// Package codec compares the two implementations of the binary protocol, the C one that the server runs and the Go
// one in package proto: on any bytes they must see the same requests, refuse the same ones with the same status, and
// lose the framing at the same place. proto/PROTOCOL.md decides which one is wrong.
//
// # Method
//
// A stream of bytes goes through both sides in step. proto.Reader says where the next message ends and what it is;
// the engine, with a store of its own, gets the stream up to there and must answer exactly that message:
//
//   - what Go refuses, the engine refuses with the same status under the same id;
//   - what Go accepts, the engine answers as section 5 of the specification allows for the opcode, or with the limit
//     that the store adds (size of values, number of keys, durability), or with silence if the request is quiet;
//   - what Go has understood as key and value is what another connection then finds in the store;
//   - where Go has lost the framing, the engine answers once more and closes, and nowhere else.
//
// Then the same stream goes to a second store at once, cut in two at an arbitrary place: pipelines and cuts must not
// change any answer.
//
// Not compared: the texts of errors, which are each side's own.
//
// # Inputs
//
// The golden vectors, cut at every byte; inputs at limits, made by long; and the files of
// testdata/fuzz, each named by what it is about. A finding of the fuzzer gets a name too when it is fixed.
package codec
