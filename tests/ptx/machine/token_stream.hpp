// Cursor over the token list with the small expectations a recursive-descent parser needs.
#pragma once

#include <algorithm>

#include "lexer.hpp"

namespace ptx {

class TokenStream {
 public:
  explicit TokenStream(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  Token const& peek(size_t ahead = 0) const { return tokens_[std::min(next_ + ahead, tokens_.size() - 1)]; }
  Token const& take() {
    Token const& token = peek();
    if (next_ + 1 < tokens_.size()) ++next_;
    return token;
  }
  bool is(char const* text) const { return peek().kind != TokenKind::String && peek().text == text; }
  bool isKind(TokenKind kind) const { return peek().kind == kind; }
  bool accept(char const* text) {
    if (!is(text)) return false;
    take();
    return true;
  }
  void expect(char const* text) {
    if (!accept(text)) fail(std::string("expected '") + text + "', found '" + peek().text + "'");
  }
  void skipPast(char const* text) {
    while (!is(text) && !isKind(TokenKind::End)) take();
    take();
  }
  Number number() {
    if (!isKind(TokenKind::Number)) fail("expected a number, found '" + peek().text + "'");
    return parseNumber(take().text);
  }
  i64 signedInteger() {
    bool const negative = accept("-");
    i64 const value = i64(number().bits);
    return negative ? -value : value;
  }
  size_t position() const { return next_; }
  void rewind(size_t position) { next_ = position; }

  // The source of tokens [begin, position()), for messages and coverage reports.
  std::string textSince(size_t begin) const {
    std::string text;
    for (size_t i = begin; i < next_; ++i) {
      Token const& token = tokens_[i];
      bool const word = token.kind != TokenKind::Punctuation;
      char const last = text.empty() ? ' ' : text.back();
      if ((word && (std::isalnum(static_cast<unsigned char>(last)) || last == ',')) ||
          (token.text == "{" || token.text == "["))
        text += ' ';
      text += token.text;
    }
    return text;
  }
  [[noreturn]] void fail(std::string const& message) const {
    throw Error(Fault::Syntax, "PTX line " + std::to_string(peek().line) + ": " + message);
  }

 private:
  std::vector<Token> tokens_;
  size_t next_ = 0;
};

}  // namespace ptx
