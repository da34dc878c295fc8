#include "lexer.hpp"

#include <cctype>
#include <cstdlib>

namespace ptx {
namespace {

bool isIdentifierChar(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '$' || c == '%' || c == '.';
}

}  // namespace

std::vector<Token> tokenize(std::string const& source) {
  std::vector<Token> tokens;
  size_t const size = source.size();
  auto at = [&](size_t i) { return i < size ? source[i] : '\0'; };
  int line = 1;
  size_t i = 0;
  while (i < size) {
    char const c = source[i];
    if (c == '\n') {
      ++line;
      ++i;
      continue;
    }
    if (std::isspace(static_cast<unsigned char>(c))) {
      ++i;
      continue;
    }
    if (c == '/' && at(i + 1) == '/') {
      while (i < size && source[i] != '\n') ++i;
      continue;
    }
    if (c == '/' && at(i + 1) == '*') {
      for (i += 2; i < size && !(source[i] == '*' && at(i + 1) == '/'); ++i) line += source[i] == '\n';
      i += 2;
      continue;
    }
    size_t const begin = i;
    if (c == '"') {
      for (++i; i < size && source[i] != '"'; ++i)
        if (source[i] == '\\') ++i;
      tokens.push_back({TokenKind::String, source.substr(begin + 1, i - begin - 1), line});
      ++i;
    } else if (std::isdigit(static_cast<unsigned char>(c))) {
      while (std::isalnum(static_cast<unsigned char>(at(i))) || at(i) == '.') ++i;
      tokens.push_back({TokenKind::Number, source.substr(begin, i - begin), line});
    } else if (isIdentifierChar(c)) {
      // "::" belongs to modifiers such as .shared::cta and .L2::128B; a single ':' ends a label.
      while (isIdentifierChar(at(i)) || (at(i) == ':' && at(i + 1) == ':')) i += at(i) == ':' ? 2 : 1;
      tokens.push_back({TokenKind::Identifier, source.substr(begin, i - begin), line});
    } else {
      tokens.push_back({TokenKind::Punctuation, std::string(1, c), line});
      ++i;
    }
  }
  tokens.push_back({TokenKind::End, "", line});
  return tokens;
}

Number parseNumber(std::string const& text) {
  char const second = text.size() > 2 && text[0] == '0' ? char(std::tolower(text[1])) : '\0';
  char const* digits = text.c_str() + 2;
  if (second == 'f') return {std::strtoull(digits, nullptr, 16), NumberKind::Float32Bits};
  if (second == 'd') return {std::strtoull(digits, nullptr, 16), NumberKind::Float64Bits};
  if (second == 'b') return {std::strtoull(digits, nullptr, 2), NumberKind::Integer};
  if (second == 'x') return {std::strtoull(digits, nullptr, 16), NumberKind::Integer};
  if (text.find('.') != std::string::npos)
    return {std::bit_cast<u64>(std::strtod(text.c_str(), nullptr)), NumberKind::Float64Bits};
  return {std::strtoull(text.c_str(), nullptr, text.size() > 1 && text[0] == '0' ? 8 : 10), NumberKind::Integer};
}

}  // namespace ptx
