package replay

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Block types of a pcapng file (draft-ietf-opsawg-pcapng, 4).
const (
	sectionHeader  = 0x0a0d0d0a
	interfaceBlock = 1
	oldPacket      = 2
	simplePacket   = 3
	enhancedPacket = 6
)

// Limits on a pcapng file: a frame of maxFrame bytes with as many bytes of options, and thousands of interfaces.
const (
	maxBlock          = 2 * maxFrame
	maxInterfaceBlock = 8 << 10
	maxInterfaces     = 4096 // in a section
)

// errBlockCut is returned if a pcapng file ends in the middle of a block. It is not io.ErrUnexpectedEOF, because pcapgo
// treats that as the end of the file.
var errBlockCut = errors.New("the file ends in the middle of a block")

// A pcapngFilter reads a pcapng file block by block, and passes only the blocks with sections, interfaces and frames to
// pcapgo. pcapgo trusts the lengths in a block: if they are wrong it reads into the next block. It also keeps all names
// and secrets in memory. So pcapngFilter rejects blocks whose lengths are inconsistent or too large.
//
// The layout of a block, in bytes: type 4, total length 4, body, total length again 4, in the byte order of its section.
type pcapngFilter struct {
	in         *bufio.Reader
	simple     bool // pass simple packets, as enhanced packets of the time 0
	order      binary.ByteOrder
	interfaces int    // in this section
	block      []byte // reused
	rest       []byte // the part of block that Read has not returned yet
}

func (b *pcapngFilter) Read(p []byte) (int, error) {
	for len(b.rest) == 0 {
		if err := b.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

const (
	blockStart = 8 // type, length
	blockEnd   = 4 // length
)

// next reads a block into b.rest, or skips a block.
func (b *pcapngFilter) next() error {
	start, err := b.in.Peek(blockStart + 4)
	if err != nil {
		return endOf(start, err)
	}
	if binary.BigEndian.Uint32(start) == sectionHeader {
		b.order = orderOf(start[blockStart:])
		b.interfaces = 0
	}
	if b.order == nil {
		return errors.New("a section has no byte order")
	}
	kind, length := b.order.Uint32(start), int64(b.order.Uint32(start[4:]))
	if length < blockStart+blockEnd || length%4 != 0 {
		return fmt.Errorf("a block is %d bytes long", length)
	}
	switch kind {
	case sectionHeader, interfaceBlock, oldPacket, enhancedPacket:
		return b.take(kind, length)
	case simplePacket:
		return b.takeSimple(length)
	}
	_, err = b.in.Discard(int(length))
	return endOf(start, err)
}

// endOf converts err, which occurred after some bytes of a block, to errBlockCut if the file ends there.
func endOf(some []byte, err error) error {
	if err == io.ErrUnexpectedEOF || err == io.EOF && len(some) > 0 {
		return errBlockCut
	}
	return err
}

// orderOf returns the byte order in which b is the byte-order magic, or nil.
func orderOf(b []byte) binary.ByteOrder {
	const magic = 0x1a2b3c4d
	switch {
	case binary.BigEndian.Uint32(b) == magic:
		return binary.BigEndian
	case binary.LittleEndian.Uint32(b) == magic:
		return binary.LittleEndian
	}
	return nil
}

// take reads a block for pcapgo.
func (b *pcapngFilter) take(kind uint32, length int64) error {
	most := int64(maxBlock)
	if kind == interfaceBlock {
		most = maxInterfaceBlock
		b.interfaces++
	}
	switch {
	case length > most:
		return fmt.Errorf("a block is %d bytes long, which is more than the %d that are read", length, most)
	case b.interfaces > maxInterfaces:
		return fmt.Errorf("it has more than %d interfaces", maxInterfaces)
	}
	if int64(cap(b.block)) < length {
		b.block = make([]byte, length)
	}
	b.block = b.block[:length]
	if _, err := io.ReadFull(b.in, b.block); err != nil {
		return endOf(b.block, err)
	}
	if !b.isSound(kind) {
		return errors.New("a block's lengths contradict each other")
	}
	b.rest = b.block
	return nil
}

// takeSimple reads a simple packet block and makes an enhanced packet block of it. It has only the length of the frame,
// and then the frame as far as it was captured, padded to a multiple of 4.
func (b *pcapngFilter) takeSimple(length int64) error {
	const simpleLen, enhancedLen = 4, 20
	if !b.simple {
		return errors.New("its frames are in simple packet blocks, which have no time: only --learn reads them")
	}
	if err := b.take(simplePacket, length); err != nil {
		return err
	}
	body := b.block[blockStart : len(b.block)-blockEnd]
	sent, data := b.order.Uint32(body), body[simpleLen:]
	captured := min(sent, uint32(len(data)))
	data = data[:padded(captured)] // more would be read as options
	enhanced := make([]byte, blockStart+enhancedLen+len(data)+blockEnd)
	for i, word := range []uint32{enhancedPacket, uint32(len(enhanced)), 0, 0, 0, captured, sent} {
		b.order.PutUint32(enhanced[4*i:], word)
	}
	copy(enhanced[blockStart+enhancedLen:], data)
	b.order.PutUint32(enhanced[len(enhanced)-blockEnd:], uint32(len(enhanced)))
	b.rest = enhanced
	return nil
}

// isSound reports whether the lengths in b.block are consistent: nothing extends beyond the block.
//
// The layout before the options, in bytes, is for an interface: link type 2, reserved 2, snap length 4; for a section:
// byte order 4, version 4, length 8; for a frame: interface 4 (in an old block: interface 2, drops 2), time 8, captured
// length 4, length 4, and the data, padded to a multiple of 4.
func (b *pcapngFilter) isSound(kind uint32) bool {
	end := len(b.block) - blockEnd
	if b.order.Uint32(b.block[end:]) != uint32(len(b.block)) {
		return false
	}
	body := b.block[blockStart:end]
	before := b.beforeOptions(kind, body)
	return int64(len(body)) >= before && b.optionsFit(body[before:])
}

// beforeOptions returns the number of bytes before the options in a body.
func (b *pcapngFilter) beforeOptions(kind uint32, body []byte) int64 {
	const interfaceLen, sectionLen, simpleLen, frameLen, captured = 8, 16, 4, 20, 12
	switch kind {
	case interfaceBlock:
		return interfaceLen
	case sectionHeader:
		return sectionLen
	case simplePacket:
		return int64(max(len(body), simpleLen)) // no options follow the frame
	}
	if len(body) < frameLen {
		return frameLen
	}
	return frameLen + padded(b.order.Uint32(body[captured:]))
}

// padded rounds n up to a multiple of 4.
func padded(n uint32) int64 { return (int64(n) + 3) &^ 3 }

// optionsFit reports whether the options are complete. The layout of an option, in bytes: code 2, length 2, value,
// padding to a multiple of 4. A code of 0 ends the options.
func (b *pcapngFilter) optionsFit(options []byte) bool {
	for len(options) > 0 {
		n := 4 + padded(uint32(b.order.Uint16(options[2:])))
		if n > int64(len(options)) {
			return false
		}
		if b.order.Uint16(options) == 0 {
			return true
		}
		options = options[n:]
	}
	return true
}
