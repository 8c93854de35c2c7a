package main

import "github.com/klauspost/cpuid/v2"

// hasAES reports whether the processor makes AES-GCM cheap, on which the order
// of cipher suites depends.
func hasAES() bool {
	return cpuid.CPU.Supports(cpuid.AESNI, cpuid.CLMUL) ||
		cpuid.CPU.Supports(cpuid.AESARM, cpuid.PMULL)
}
