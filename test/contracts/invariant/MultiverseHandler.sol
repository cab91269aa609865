// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { IERC20 } from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import { IERC6909 } from "@openzeppelin/contracts/interfaces/IERC6909.sol";
import { IMultiverse } from "../../../contracts/interfaces/IMultiverse.sol";
import { TestToken } from "../../../contracts/mocks/TestToken.sol";
import { QuestionId } from "../../../contracts/types/QuestionId.sol";
import { Answer } from "../../../contracts/types/VerseId.sol";
import { ILedger } from "../utils/ILedger.sol";
import { FeeToken, HookToken } from "../utils/Tokens.sol";
import { LedgerActions } from "./LedgerActions.sol";
import { Verses } from "./Verses.sol";

/// @notice The ledger's actions, what must be of no use to anybody, and the last day of a round.
abstract contract MultiverseHandler is LedgerActions {
    uint256 private constant HOOK = 1;

    address private immutable _maker = msg.sender;
    FeeToken private _fee = new FeeToken();

    constructor(ILedger ledger_, uint8[] memory outcomes) Verses(outcomes) {
        ledger = ledger_;
        address[] memory tokens_ = new address[](TOKENS);
        tokens_[0] = address(new TestToken("Test Dollar", "TUSD", 6));
        tokens_[HOOK] = address(new HookToken());
        _setUpOwners(tokens_);
        for (uint256 o = 0; o < OWNERS; ++o) {
            _fee.mint(owners[o], FUNDS);
            _succeed(owners[o], address(_fee), abi.encodeCall(IERC20.approve, (address(ledger), type(uint256).max)));
        }
        _beginRound();
    }

    /* OF NO USE */

    /// @notice Tokens given to the ledger are nobody's.
    function donate(uint256 seed) external action("donate", seed) {
        (uint256 t, uint256 o) = _anyOne();
        uint256 amount = 1 + _random(1e12);
        _succeed(owners[o], tokens[t], abi.encodeCall(IERC20.transfer, (address(ledger), amount)));
        _noteDonated(t, o, amount);
        ++successes["donate"];
    }

    /// @notice 10: ids with an outcome that cannot exist, with another number of outcomes, with other bits, and paths that
    /// lead to them.
    function phantom(uint256 seed) external action("phantom", seed) {
        (uint256 t, uint256 o) = _anyOne();
        uint256 code = _anyHeld(t, o);
        if (code == 0) return;
        (uint256 id, bytes4 expected) = _anyPhantom(_id(tokens[t], code));
        vm.assertEq(ledger.balanceOf(owners[o], id), 0, "10: balance of a phantom");
        _refuse(owners[o], abi.encodeCall(IERC6909.transfer, (owners[_random(OWNERS)], id, 1)), expected);

        Answer[] memory path = _path(code);
        Answer memory answer = path[_random(path.length)];
        uint256 count = uint256(QuestionId.unwrap(answer.question)) & 0xff;
        answer.outcome = uint8(count + _random(256 - count));
        QuestionId behind = QuestionId.wrap(bytes32(type(uint256).max));
        bytes memory data = abi.encodeCall(IMultiverse.pullUp, (path, behind, tokens[t], 1, owners[o]));
        _refuse(owners[o], data, IMultiverse.OutcomeOutOfRange.selector);
        ++successes["phantom"];
    }

    function _anyPhantom(uint256 id) private returns (uint256, bytes4) {
        uint256 outcomes = (id >> 8) & 0xff;
        uint256 kind = _random(4);
        bytes4 expected = kind < 2 ? IMultiverse.PhantomPosition.selector : IMultiverse.InsufficientBalance.selector;
        if (kind == 0) return (id | 0xff, expected);
        if (kind == 1) return ((id & ~uint256(0xff)) | (outcomes + _random(256 - outcomes)), expected);
        if (kind == 2) return ((id & ~uint256(0xff00)) | ((outcomes + 1 + _random(255 - outcomes)) << 8), expected);
        return (id ^ (1 << (16 + _random(240))), expected);
    }

    /// @notice One more than an owner has: moved, pushed down, pulled up.
    function overdraw(uint256 seed) external action("overdraw", seed) {
        (uint256 t, uint256 o) = _anyOne();
        uint256 q = _random(questionCount());
        uint256 parent = _without(_random(verseCount()), q);
        address owner = owners[o];
        bytes4 expected = IMultiverse.InsufficientBalance.selector;
        _refuse(owner, _pullCall(t, parent, q, _mostPullable(t, o, parent, q) + 1, owner), expected);
        if (parent != 0) {
            uint256 more = _book(t, o, parent) + 1;
            _refuse(owner, abi.encodeCall(IERC6909.transfer, (owners[0], _id(tokens[t], parent), more)), expected);
            if (!isDecided(q)) _refuse(owner, _pushCall(t, parent, q, more, owner), expected);
        }
        ++successes["overdraw"];
    }

    /// @notice 7: a dead position alone buys nothing; pulling up takes the live ones.
    function resurrect(uint256 seed) external action("resurrect", seed) {
        (uint256 t, uint256 o) = _anyOne();
        uint256 first = _random(verseCount());
        for (uint256 i = 0; i < verseCount(); ++i) {
            uint256 code = (first + i) % verseCount();
            uint256 held = _book(t, o, code);
            if (held == 0) continue;
            for (uint256 q = 0; q < questionCount(); ++q) {
                uint256 digit = _digit(code, q);
                if (digit == 0 || (liveOf(q) >> (digit - 1)) & 1 == 1) continue;
                uint256 parent = _without(code, q);
                uint256 amount = _mostPullable(t, o, parent, q) + held;
                bytes memory data = _pullCall(t, parent, q, amount, owners[o]);
                _refuse(owners[o], data, IMultiverse.InsufficientBalance.selector);
                ++successes["resurrect"];
                return;
            }
        }
    }

    /// @notice A decided question takes nothing more and changes no more, its oracle's word included.
    function tooLate(uint256 seed) external action("tooLate", seed) {
        uint256 q = _random(questionCount());
        if (!isDecided(q)) return;
        bool recorded = ledger.questions(questions[q]).status == 3;
        bytes4 expected = recorded ? IMultiverse.AlreadyResolved.selector : IMultiverse.DeadlinePassed.selector;
        _refuse(owners[0], _pushCall(_random(TOKENS), 0, q, 1, owners[0]), expected);
        _refuse(ORACLE, _narrowCall(q, _all(q)), expected);
        ++successes["tooLate"];
    }

    /// @notice A token that takes a fee is refused; one that calls back into the ledger gets nothing by it.
    function hostile(uint256 seed) external action("hostile", seed) {
        (bool found, uint256 q) = _anyOpen();
        if (!found) return;
        uint256 o = _random(OWNERS);
        uint256 amount = 100 + _random(1e12);
        bytes memory data = abi.encodeCall(
            IMultiverse.pushDown,
            (_path(0), questions[q], address(_fee), amount, owners[o])
        );
        _refuse(owners[o], data, IMultiverse.DepositMismatch.selector);

        HookToken hook = HookToken(tokens[HOOK]);
        hook.arm(address(ledger), _anyReentry(o, q, amount), _random(2) == 0);
        _do(owners[o], _pushCall(HOOK, 0, q, amount, owners[o]));
        vm.assertTrue(hook.target() == address(0) && hook.failed(), "reentered");
        _notePushed(HOOK, o, o, 0, q, amount);
        ++successes["hostile"];
    }

    function _anyReentry(uint256 o, uint256 q, uint256 amount) private returns (bytes memory) {
        uint256 kind = _random(5);
        if (kind == 0) return _pushCall(0, 0, q, amount, tokens[HOOK]);
        if (kind == 1) return _pullCall(HOOK, 0, q, amount, tokens[HOOK]);
        if (kind == 2) return _narrowCall(q, _last(q));
        if (kind == 3) return _expireCall(q);
        return abi.encodeCall(IMultiverse.pullUpFor, (owners[o], _path(0), questions[q], tokens[HOOK], amount));
    }

    /* THE LAST DAY */

    /// @notice When all is decided everybody leaves and new questions are asked; until then asking again changes nothing.
    function ask(uint256 seed) external action("ask", seed) {
        if (_isSingle(possible())) {
            _everybodyLeaves();
            _beginRound();
        } else {
            _ask(_random(questionCount()));
            ++successes["ask again"];
        }
    }

    /// @notice Time decides whatever is open, and everybody leaves. No action: the test calls it when it is over.
    function end() external {
        if (msg.sender != _maker) return;
        for (uint256 q = 0; q < questionCount(); ++q) if (time < deadlines[q]) _noteTime(deadlines[q]);
        _everybodyLeaves();
    }

    /// @dev 8: in any order, each with what he holds in the one combination that came true.
    function _everybodyLeaves() private {
        uint256 world = _indexOf(possible());
        uint256 first = _random(QUESTIONS_MAX);
        for (uint256 i = 0; i < OWNERS; ++i) {
            uint256 o = (first + i) % OWNERS;
            for (uint256 t = 0; t < TOKENS; ++t) {
                uint256 due = IERC20(tokens[t]).balanceOf(owners[o]) + claim(t, o, world);
                for (uint256 j = 0; j < questionCount(); ++j) _leave(t, o, (first + j) % questionCount());
                vm.assertEq(IERC20(tokens[t]).balanceOf(owners[o]), due, "8: leaves with what the winners hold");
            }
        }
        for (uint256 t = 0; t < TOKENS; ++t) {
            vm.assertEq(deposited[t], withdrawn[t], "8: everything deposited came out");
        }
    }

    function _leave(uint256 t, uint256 o, uint256 q) private {
        uint256 winner = _indexOf(liveOf(q));
        for (uint256 code = 0; code < verseCount(); ++code) {
            if (_digit(code, q) != winner + 1) continue;
            uint256 balance = _book(t, o, code);
            if (balance == 0) continue;
            uint256 parent = _without(code, q);
            _do(owners[o], _pullCall(t, parent, q, balance, owners[o]));
            _notePulled(t, o, o, parent, q, balance);
        }
    }
}
