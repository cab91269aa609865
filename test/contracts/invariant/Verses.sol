// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { QuestionId } from "../../../contracts/types/QuestionId.sol";
import { Answer } from "../../../contracts/types/VerseId.sol";
import { Vm } from "../utils/Vm.sol";

/// @notice Every verse of a few questions, and every combination of answers, by plain enumeration.
/// @dev A verse is a *code*: one digit for each question in ascending id, 0 when the question is not in its path, else its
/// outcome + 1. A combination of answers is a *world*, one bit; an event is a set of worlds. Ids are derived here by the
/// formulas of docs/spec.md. When all questions are decided a new *round* asks new ones, whose ids sort in another order.
abstract contract Verses {
    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    uint256 internal constant QUESTIONS_MAX = 4;
    address internal constant ORACLE = address(0x04ac1e);
    uint256 private constant SPAN = 100 days;

    uint256 public time = 1_900_000_000;
    /// @notice How often new questions were asked; all that is kept of a verse is kept by round.
    uint256 public round;
    /// @notice The questions of this round in ascending id, their deadlines and spec hashes.
    QuestionId[] public questions;
    uint256[QUESTIONS_MAX] public deadlines;
    bytes32[QUESTIONS_MAX] internal specs;

    uint8[] private _outcomes;
    uint256[QUESTIONS_MAX] private _units;
    /// @dev Outcomes that the oracle has left, time not taken into account.
    uint256[QUESTIONS_MAX] private _alive;
    uint256 private _verses;
    uint256 private _possible;
    mapping(uint256 round => mapping(address token => uint256[])) private _ids;
    mapping(uint256 round => uint256[]) private _events;

    constructor(uint8[] memory outcomes) {
        _outcomes = outcomes;
        vm.warp(time);
    }

    /* QUESTIONS */

    function questionCount() public view returns (uint256) {
        return _outcomes.length;
    }

    function outcomesOf(uint256 q) public view returns (uint256) {
        return uint256(QuestionId.unwrap(questions[q])) & 0xff;
    }

    /// @notice Bit mask of the outcomes still possible now.
    function liveOf(uint256 q) public view returns (uint256) {
        uint256 mask = _alive[q];
        return _isSingle(mask) || time < deadlines[q] ? mask : _last(q);
    }

    function isDecided(uint256 q) public view returns (bool) {
        return _isSingle(liveOf(q));
    }

    function _last(uint256 q) internal view returns (uint256) {
        return 1 << (outcomesOf(q) - 1);
    }

    function _all(uint256 q) internal view returns (uint256) {
        return (1 << outcomesOf(q)) - 1;
    }

    function _isSingle(uint256 mask) internal pure returns (bool) {
        return mask & (mask - 1) == 0;
    }

    /// @dev The index of the only bit.
    function _indexOf(uint256 bit) internal pure returns (uint256 index) {
        while (bit >> index != 1) ++index;
    }

    /* VERSES */

    function verseCount() public view returns (uint256) {
        return _verses;
    }

    /// @notice The position id of every verse, by code; 0 at ROOT, which has none.
    function ids(address token) external view returns (uint256[] memory) {
        return _ids[round][token];
    }

    /// @notice The worlds in which each verse is true, by code.
    function events() external view returns (uint256[] memory) {
        return _events[round];
    }

    /// @notice The worlds that can still come true.
    function possible() public view returns (uint256) {
        return _possible;
    }

    function _id(address token, uint256 code) internal view returns (uint256) {
        return _ids[round][token][code];
    }

    function _event(uint256 code) internal view returns (uint256) {
        return _events[round][code];
    }

    /// @dev 0 when the question is not in the path.
    function _digit(uint256 code, uint256 q) internal view returns (uint256) {
        return (code / _units[q]) % (outcomesOf(q) + 1);
    }

    function _child(uint256 parent, uint256 q, uint256 outcome) internal view returns (uint256) {
        return parent + (outcome + 1) * _units[q];
    }

    /// @dev The verse without its answer to `q`.
    function _without(uint256 code, uint256 q) internal view returns (uint256) {
        return code - _digit(code, q) * _units[q];
    }

    function _depth(uint256 code) internal view returns (uint256 depth) {
        for (uint256 q = 0; q < questions.length; ++q) if (_digit(code, q) != 0) ++depth;
    }

    function _sortsLast(uint256 code, uint256 q) internal view returns (bool) {
        return code < _units[q];
    }

    function _path(uint256 code) internal view returns (Answer[] memory path) {
        path = new Answer[](_depth(code));
        uint256 i = 0;
        for (uint256 q = 0; q < questions.length; ++q) {
            uint256 digit = _digit(code, q);
            if (digit != 0) path[i++] = Answer(questions[q], uint8(digit - 1));
        }
    }

    /* WHAT HAPPENS */

    function _noteTime(uint256 time_) internal {
        time = time_;
        vm.warp(time);
        _dropWorlds();
    }

    function _noteNarrowed(uint256 q, uint256 survivors) internal {
        _alive[q] = survivors;
        _dropWorlds();
    }

    function _startRound(address[] memory tokens) internal {
        ++round;
        delete questions;
        for (uint256 i = 0; i < _outcomes.length; ++i) _insertQuestion(i);
        uint256 unit = 1;
        for (uint256 q = 0; q < questions.length; ++q) {
            (_units[q], _alive[q]) = (unit, _all(q));
            unit *= outcomesOf(q) + 1;
        }
        _verses = unit;
        _enumerateWorlds();
        for (uint256 t = 0; t < tokens.length; ++t) {
            for (uint256 code = 0; code < _verses; ++code) _ids[round][tokens[t]].push(_derive(code, tokens[t]));
        }
    }

    function _insertQuestion(uint256 i) private {
        bytes32 spec = keccak256(abi.encode(round, i));
        uint256 deadline = time + 1 days + (uint256(spec) % SPAN);
        uint256 hash = uint256(keccak256(abi.encode(ORACLE, _outcomes[i], deadline, spec, bytes32(0))));
        questions.push(QuestionId.wrap(bytes32((hash & ~uint256(0xff)) | _outcomes[i])));
        (specs[i], deadlines[i]) = (spec, deadline);
        for (uint256 j = i; j > 0 && QuestionId.unwrap(questions[j]) < QuestionId.unwrap(questions[j - 1]); --j) {
            (questions[j], questions[j - 1]) = (questions[j - 1], questions[j]);
            (specs[j], specs[j - 1]) = (specs[j - 1], specs[j]);
            (deadlines[j], deadlines[j - 1]) = (deadlines[j - 1], deadlines[j]);
        }
    }

    function _enumerateWorlds() private {
        uint256 worlds = 0;
        uint256[] memory sets = new uint256[](_verses);
        for (uint256 world = 0; world < _verses; ++world) {
            if (_depth(world) != questions.length) continue;
            for (uint256 code = 0; code < _verses; ++code) if (_isTrueIn(code, world)) sets[code] |= 1 << worlds;
            ++worlds;
        }
        _events[round] = sets;
        _possible = (1 << worlds) - 1;
    }

    function _isTrueIn(uint256 code, uint256 world) private view returns (bool) {
        for (uint256 q = 0; q < questions.length; ++q) {
            uint256 digit = _digit(code, q);
            if (digit != 0 && digit != _digit(world, q)) return false;
        }
        return true;
    }

    function _derive(uint256 code, address token) private view returns (uint256) {
        bytes32 verse;
        for (uint256 q = 0; q < questions.length; ++q) {
            uint256 digit = _digit(code, q);
            if (digit == 0) continue;
            uint256 partition = uint256(keccak256(abi.encode(verse, questions[q]))) & ~uint256(0xffff);
            verse = bytes32(partition | (outcomesOf(q) << 8) | (digit - 1));
        }
        uint256 low = uint256(verse) & 0xffff;
        return code == 0 ? 0 : (uint256(keccak256(abi.encode(uint256(verse) - low, token))) & ~uint256(0xffff)) | low;
    }

    function _dropWorlds() private {
        for (uint256 q = 0; q < questions.length; ++q) {
            uint256 mask = liveOf(q);
            uint256 some = 0;
            for (uint256 outcome = 0; mask >> outcome != 0; ++outcome) {
                if ((mask >> outcome) & 1 == 1) some |= _event(_child(0, q, outcome));
            }
            _possible &= some;
        }
    }
}
