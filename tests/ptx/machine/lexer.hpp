// Splits PTX text into tokens. Identifiers keep their dots, so a mnemonic such as add.rn.f32 is one token.
#pragma once

#include <string>
#include <vector>

#include "types.hpp"

namespace ptx {

enum class TokenKind : u8 { Identifier, Number, String, Punctuation, End };

struct Token {
  TokenKind kind;
  std::string text;
  int line;
};

std::vector<Token> tokenize(std::string const& source);

enum class NumberKind : u8 { Integer, Float32Bits, Float64Bits };

struct Number {
  u64 bits = 0;
  NumberKind kind = NumberKind::Integer;
};

Number parseNumber(std::string const& text);

}  // namespace ptx
