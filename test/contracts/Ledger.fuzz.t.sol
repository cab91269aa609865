// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { IERC6909 } from "@openzeppelin/contracts/interfaces/IERC6909.sol";
import { QuestionId } from "../../contracts/types/QuestionId.sol";
import { Answer } from "../../contracts/types/VerseId.sol";
import { Base } from "./utils/Base.sol";
import { Vm } from "./utils/Vm.sol";

/// @notice Random histories over three questions with 2, 3 and 2 outcomes, in whatever order their ids sort.
/// @dev A verse is a code of three digits, one for each question in ascending id: 0 when the question is not in its
/// path, else its outcome + 1. Sums are taken over these codes, so they know nothing of sets and deltas.
contract LedgerFuzzTest is Base {
    uint256 private constant QUESTIONS = 3;
    uint256 private constant VERSES = 3 * 4 * 3;

    QuestionId[] private sorted;
    address[] private owners;
    uint256 private seed;

    /// @dev Balances rebuilt from Transfer events.
    mapping(address owner => mapping(uint256 id => uint256)) private rebuilt;

    function setUp() public override {
        super.setUp();
        owners = [alice, bob, carol];
    }

    function test_fuzz_pushAndPullAreInverse(uint256 seed_, uint256 amount) public {
        _begin(seed_);
        amount = _bound(amount, 1, 1e24);
        // Any verse that leaves a question open, reached by pushing its questions down in random order.
        uint256 open = _random(QUESTIONS);
        uint256 code = _random(VERSES);
        code -= _digit(code, open) * _unit(open);
        _enter(alice, code, 2 * amount);
        // Perhaps in another state than whole.
        uint256 outcomes = sorted[open].outcomeCount();
        if (_random(2) == 1) _transferAny();
        if (outcomes == 3 && _random(2) == 1) _narrow(sorted[open], 4 | (1 << _random(2)));
        uint256 live = ledger.live(sorted[open]);

        uint256 mine = _balanceAt(alice, code);
        if (mine == 0) return;
        amount = _bound(amount, 1, mine);
        uint256[VERSES] memory before = _balances(alice);
        _pushDown(alice, _pathAt(code), sorted[open], amount);
        for (uint256 outcome = 0; outcome < outcomes; ++outcome) {
            uint256 child = code + (outcome + 1) * _unit(open);
            uint256 given = (live >> outcome) & 1 == 1 ? amount : 0;
            vm.assertEq(_balanceAt(alice, child), before[child] + given, "the full amount in every survivor");
        }
        if (code != 0) vm.assertEq(_balanceAt(alice, code), before[code] - amount, "parent");
        _pullUp(alice, _pathAt(code), sorted[open], amount);
        uint256[VERSES] memory afterwards = _balances(alice);
        for (uint256 i = 0; i < VERSES; ++i) vm.assertEq(afterwards[i], before[i], "back to where it was");
    }

    function test_fuzz_histories(uint256 seed_) public {
        _begin(seed_);
        vm.recordLogs();
        for (uint256 i = 0; i < 3; ++i) _enter(owners[i], _random(VERSES), 1 + _random(1e20));
        for (uint256 step = 0; step < 36; ++step) {
            _act();
            if (step % 9 == 8) _assertEveryCombination();
        }
        _assertRebuiltFromEvents();

        // The questions end one by one, by their oracle or by time; then everybody leaves.
        uint256 expiring = _random(QUESTIONS + 1);
        for (uint256 q = 0; q < QUESTIONS; ++q) {
            if (q != expiring) _narrowTo(q, _pick(ledger.live(sorted[q])));
            _assertEveryCombination();
        }
        vm.warp(DEADLINE);
        _assertEveryCombination();
        _everybodyLeaves();
        vm.assertEq(token.balanceOf(address(ledger)), 0, "nothing stays behind");
        uint256 total = token.balanceOf(alice) + token.balanceOf(bob) + token.balanceOf(carol);
        vm.assertEq(total, 3 * FUNDS, "everything came out");
    }

    /* ACTIONS */

    function _act() private {
        uint256 dice = _random(20);
        if (dice < 8) _pushAny();
        else if (dice < 13) _pullAny();
        else if (dice < 19) _transferAny();
        else _narrowAny();
    }

    function _pushAny() private {
        address owner = owners[_random(3)];
        (uint256 code, uint256 q) = _anyPartition();
        if (_popcount(ledger.live(sorted[q])) == 1) return;
        uint256 most = code == 0 ? 1e20 : _balanceAt(owner, code);
        if (most != 0) _pushDown(owner, _pathAt(code), sorted[q], 1 + _random(most));
    }

    function _pullAny() private {
        address owner = owners[_random(3)];
        (uint256 code, uint256 q) = _anyPartition();
        uint256 most = type(uint256).max;
        uint256 live = ledger.live(sorted[q]);
        for (uint256 outcome = 0; live >> outcome != 0; ++outcome) {
            if ((live >> outcome) & 1 == 0) continue;
            uint256 balance = _balanceAt(owner, code + (outcome + 1) * _unit(q));
            if (balance < most) most = balance;
        }
        if (most != 0) _pullUp(owner, _pathAt(code), sorted[q], 1 + _random(most));
    }

    function _transferAny() private {
        address from = owners[_random(3)];
        address to = owners[_random(3)];
        uint256 code = 1 + _random(VERSES - 1);
        uint256 balance = _balanceAt(from, code);
        if (balance != 0) _transfer(from, to, _pathAt(code), 1 + _random(balance));
    }

    function _narrowAny() private {
        uint256 q = _random(QUESTIONS);
        uint256 live = ledger.live(sorted[q]);
        if (_popcount(live) < 3) return;
        _narrow(sorted[q], 4 | (1 << _random(2)));
    }

    function _narrowTo(uint256 q, uint256 outcome) private {
        _narrow(sorted[q], 1 << outcome);
    }

    /// @dev Gives `owner` `amount` of the verse, along a random way down.
    function _enter(address owner, uint256 code, uint256 amount) private {
        uint256 reached = 0;
        uint256 first = _random(QUESTIONS);
        for (uint256 i = 0; i < QUESTIONS; ++i) {
            uint256 q = (first + i) % QUESTIONS;
            if (_digit(code, q) == 0) continue;
            _pushDown(owner, _pathAt(reached), sorted[q], amount);
            reached += _digit(code, q) * _unit(q);
        }
    }

    function _everybodyLeaves() private {
        uint256 first = _random(QUESTIONS);
        for (uint256 i = 0; i < QUESTIONS; ++i) {
            uint256 q = (first + i) % QUESTIONS;
            uint256 winner = _pick(ledger.live(sorted[q]));
            for (uint256 code = 0; code < VERSES; ++code) {
                if (_digit(code, q) != winner + 1) continue;
                for (uint256 o = 0; o < 3; ++o) {
                    uint256 balance = _balanceAt(owners[o], code);
                    uint256 parent = code - _digit(code, q) * _unit(q);
                    if (balance != 0) _pullUp(owners[o], _pathAt(parent), sorted[q], balance);
                }
            }
        }
    }

    /* CHECKS */

    /// @dev For every combination of answers still possible, the supply of all verses true in it is the collateral.
    function _assertEveryCombination() private view {
        uint256[VERSES] memory supply;
        for (uint256 o = 0; o < 3; ++o) {
            uint256[VERSES] memory balances = _balances(owners[o]);
            for (uint256 code = 1; code < VERSES; ++code) supply[code] += balances[code];
        }
        uint256 collateral = token.balanceOf(address(ledger));
        for (uint256 world = 0; world < VERSES; ++world) {
            if (!_possible(world)) continue;
            uint256 sum = 0;
            for (uint256 code = 1; code < VERSES; ++code) {
                if (_trueIn(code, world)) sum += supply[code];
            }
            vm.assertEq(sum, collateral, "supply in a possible combination");
        }
    }

    function _possible(uint256 world) private view returns (bool) {
        for (uint256 q = 0; q < QUESTIONS; ++q) {
            uint256 digit = _digit(world, q);
            if (digit == 0 || (ledger.live(sorted[q]) >> (digit - 1)) & 1 == 0) return false;
        }
        return true;
    }

    function _trueIn(uint256 code, uint256 world) private view returns (bool) {
        for (uint256 q = 0; q < QUESTIONS; ++q) {
            uint256 digit = _digit(code, q);
            if (digit != 0 && digit != _digit(world, q)) return false;
        }
        return true;
    }

    function _assertRebuiltFromEvents() private {
        Vm.Log[] memory logs = vm.getRecordedLogs();
        for (uint256 i = 0; i < logs.length; ++i) {
            if (logs[i].emitter != address(ledger) || logs[i].topics[0] != IERC6909.Transfer.selector) continue;
            (, uint256 amount) = abi.decode(logs[i].data, (address, uint256));
            uint256 id = uint256(logs[i].topics[3]);
            address from = address(uint160(uint256(logs[i].topics[1])));
            address to = address(uint160(uint256(logs[i].topics[2])));
            if (from != address(0)) rebuilt[from][id] -= amount;
            if (to != address(0)) rebuilt[to][id] += amount;
        }
        for (uint256 code = 1; code < VERSES; ++code) {
            uint256 id = _rawId(_pathAt(code));
            for (uint256 o = 0; o < 3; ++o) {
                vm.assertEq(rebuilt[owners[o]][id], ledger.balanceOf(owners[o], id), "rebuilt from events");
            }
        }
    }

    /* CODES */

    function _begin(uint256 seed_) private {
        seed = seed_;
        // New ids in each run, so that the three questions sort in every order.
        uint8[QUESTIONS] memory outcomes = [2, 3, 2];
        for (uint256 i = 0; i < QUESTIONS; ++i) {
            sorted.push(ledger.ask(oracle, outcomes[i], DEADLINE, keccak256(abi.encode(seed, i)), TERMS, ""));
            for (uint256 j = i; j > 0 && sorted[j] < sorted[j - 1]; --j) {
                (sorted[j], sorted[j - 1]) = (sorted[j - 1], sorted[j]);
            }
        }
    }

    function _unit(uint256 q) private view returns (uint256 unit) {
        unit = 1;
        for (uint256 i = 0; i < q; ++i) unit *= sorted[i].outcomeCount() + 1;
    }

    function _digit(uint256 code, uint256 q) private view returns (uint256) {
        return (code / _unit(q)) % (sorted[q].outcomeCount() + 1);
    }

    function _pathAt(uint256 code) private view returns (Answer[] memory path) {
        uint256 depth = 0;
        path = new Answer[](QUESTIONS);
        for (uint256 q = 0; q < QUESTIONS; ++q) {
            uint256 digit = _digit(code, q);
            if (digit != 0) path[depth++] = Answer(sorted[q], uint8(digit - 1));
        }
        assembly ("memory-safe") {
            mstore(path, depth)
        }
    }

    function _balanceAt(address owner, uint256 code) private view returns (uint256) {
        return _balance(owner, _pathAt(code));
    }

    function _balances(address owner) private view returns (uint256[VERSES] memory balances) {
        for (uint256 code = 0; code < VERSES; ++code) balances[code] = _balanceAt(owner, code);
    }

    /// @dev A verse and a question it leaves open.
    function _anyPartition() private returns (uint256 code, uint256 q) {
        q = _random(QUESTIONS);
        code = _random(VERSES);
        code -= _digit(code, q) * _unit(q);
    }

    /// @dev A random outcome of a mask.
    function _pick(uint256 mask) private returns (uint256 outcome) {
        for (uint256 skip = _random(_popcount(mask)); skip != 0; --skip) mask &= mask - 1;
        while ((mask >> outcome) & 1 == 0) ++outcome;
    }

    function _popcount(uint256 mask) private pure returns (uint256 count) {
        for (; mask != 0; mask &= mask - 1) ++count;
    }

    function _random(uint256 below) private returns (uint256) {
        seed = uint256(keccak256(abi.encode(seed)));
        return seed % below;
    }
}
