// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { IMultiverse } from "../../contracts/interfaces/IMultiverse.sol";
import { PositionId } from "../../contracts/types/PositionId.sol";
import { QuestionId } from "../../contracts/types/QuestionId.sol";
import { Answer, VerseId } from "../../contracts/types/VerseId.sol";
import { Base } from "./utils/Base.sol";

/// @notice The largest and the smallest of everything: 2 and 254 outcomes, depth 12, first, middle and last in the path,
/// amounts of 0, 1, 2^127 - 1 and 2^127.
contract BoundariesFuzzTest is Base {
    uint256 private constant DEPTH = 12;
    uint256 private constant TRANSACTION_CAP = 16_777_216;

    function setUp() public override {
        super.setUp();
        token.mint(alice, 2 ** 200);
    }

    /* shape */

    function test_pushAndPull_of254OutcomesFirstInADeepPath() public {
        _assertRoundTrip(254, 0, MAX_AMOUNT);
    }

    function test_pushAndPull_of254OutcomesInTheMiddleOfADeepPath() public {
        _assertRoundTrip(254, DEPTH / 2, MAX_AMOUNT);
    }

    function test_pushAndPull_of254OutcomesLastInADeepPath() public {
        _assertRoundTrip(254, DEPTH - 1, MAX_AMOUNT);
    }

    function test_fuzz_pushAndPull_anywhereInAPath(uint256 depth, uint256 place, bool wide, uint256 amount) public {
        depth = _bound(depth, 1, wide ? 4 : DEPTH);
        place = _bound(place, 0, depth - 1);
        uint256[3] memory amounts = [uint256(1), MAX_AMOUNT, _bound(amount, 1, MAX_AMOUNT)];
        _assertRoundTrip(wide ? 17 : 2, depth, place, amounts[amount % 3]);
    }

    function test_narrow_of254OutcomesDeepDownLeavesWhatSurvives() public {
        (Answer[] memory path, QuestionId question) = _deepPath(254, DEPTH, 0);
        _enter(path, 100);
        _pushDown(alice, path, question, 100);
        _narrow(question, (1 << 253) | 1);
        uint256 before = gasleft();
        _pullUp(alice, path, question, 40);
        vm.assertTrue(before - gasleft() < TRANSACTION_CAP, "fits");
        _assertBalance(alice, _with(path, question, 0), 60, "survivor");
        _assertBalance(alice, _with(path, question, 1), 100, "ruled out");
        _assertBalance(alice, _with(path, question, 253), 60, "last");
        _assertBalance(alice, path, 40, "parent");
        _narrow(question, 1);
        _pullUp(alice, path, question, 60);
        _assertBalance(alice, path, 100, "redeemed");
    }

    /* amounts */

    function test_amounts_ofEveryEntryPoint() public {
        QuestionId question = _ask(2);
        _pushDown(alice, _path(), question, MAX_AMOUNT);
        _pushDown(alice, _path(), question, MAX_AMOUNT);
        vm.startPrank(alice);
        ledger.setRedeemer(alice, true);
        vm.stopPrank();

        uint256[2] memory wrong = [uint256(0), MAX_AMOUNT + 1];
        for (uint256 i = 0; i < 2; ++i) {
            bytes[] memory calls = _moves(question, wrong[i]);
            for (uint256 j = 0; j < calls.length; ++j) {
                vm.prank(alice);
                (bool ok, bytes memory reason) = address(ledger).call(calls[j]);
                vm.assertTrue(!ok, "refused");
                bytes memory expected =
                    i == 0
                        ? abi.encodeWithSelector(IMultiverse.ZeroAmount.selector)
                        : abi.encodeWithSelector(IMultiverse.AmountTooLarge.selector, MAX_AMOUNT + 1);
                vm.assertEq(keccak256(reason), keccak256(expected), "by name");
            }
        }
        uint256[2] memory right = [uint256(1), MAX_AMOUNT];
        for (uint256 i = 0; i < 2; ++i) {
            bytes[] memory calls = _moves(question, right[i]);
            for (uint256 j = 0; j < calls.length; ++j) {
                // A pull-up of everything needs what the last one took.
                if (j > 0) _pushDown(alice, _path(), question, right[i]);
                vm.prank(alice);
                (bool ok, ) = address(ledger).call(calls[j]);
                vm.assertTrue(ok, "taken");
            }
        }
    }

    function _moves(QuestionId question, uint256 amount) private view returns (bytes[] memory calls) {
        uint256 id = _rawId(_path(question, 0));
        IMultiverse.Level[] memory levels = new IMultiverse.Level[](1);
        levels[0] = IMultiverse.Level(_path(), question, amount);
        calls = new bytes[](6);
        calls[0] = abi.encodeCall(ledger.pushDown, (_path(), question, address(token), amount, alice));
        calls[1] = abi.encodeCall(ledger.pullUp, (_path(), question, address(token), amount, alice));
        calls[2] = abi.encodeCall(ledger.exit, (levels, address(token), alice));
        calls[3] = abi.encodeCall(ledger.pullUpFor, (alice, _path(), question, address(token), amount));
        calls[4] = abi.encodeCall(ledger.transfer, (alice, id, amount));
        calls[5] = abi.encodeCall(ledger.transferFrom, (alice, alice, id, amount));
    }

    /* the other external functions */

    function test_fuzz_ask(address by, uint8 outcomes, uint64 deadline, bytes32 spec, bytes32 terms) public {
        bool badOutcomes = outcomes < 2 || outcomes > 254;
        QuestionId expected = QuestionId.wrap(
            bytes32(
                ((uint256(keccak256(abi.encode(by, outcomes, deadline, spec, terms))) >> 8) << 8) | uint256(outcomes)
            )
        );
        if (badOutcomes) _expect(abi.encodeWithSelector(IMultiverse.OutcomesOutOfRange.selector, uint256(outcomes)));
        else if (by == address(0)) _expect(abi.encodeWithSelector(IMultiverse.OracleIsZero.selector));
        else if (deadline <= block.timestamp) {
            _expect(
                abi.encodeWithSelector(
                    IMultiverse.DeadlinePassed.selector,
                    expected,
                    uint256(deadline),
                    block.timestamp
                )
            );
        }
        QuestionId question = ledger.ask(by, outcomes, deadline, spec, terms, "");
        if (badOutcomes || by == address(0) || deadline <= block.timestamp) return;
        vm.assertTrue(question == expected, "id");
        vm.assertEq(ledger.live(question), (1 << outcomes) - 1, "live");
    }

    function test_fuzz_expire(uint8 outcomes, uint256 timestamp) public {
        outcomes = uint8(_bound(outcomes, 2, 254));
        timestamp = _bound(timestamp, 1_900_000_000, 2_100_000_000);
        QuestionId question = _ask(outcomes);
        vm.warp(timestamp);
        if (timestamp < DEADLINE) {
            _expect(abi.encodeWithSelector(IMultiverse.DeadlineNotReached.selector, question, DEADLINE, timestamp));
        }
        ledger.expire(question);
        uint256 all = (1 << outcomes) - 1;
        vm.assertEq(ledger.live(question), timestamp < DEADLINE ? all : 1 << (outcomes - 1), "live");
    }

    function test_fuzz_approvals(address spender, uint256 id, uint256 allowed, bool isOperator) public {
        vm.startPrank(alice);
        ledger.approve(spender, id, allowed);
        ledger.setOperator(spender, isOperator);
        ledger.setRedeemer(spender, !isOperator);
        vm.stopPrank();
        vm.assertEq(ledger.allowance(alice, spender, id), allowed, "allowance");
        vm.assertTrue(ledger.isOperator(alice, spender) == isOperator, "operator");
        vm.assertTrue(ledger.isRedeemer(alice, spender) == !isOperator, "redeemer");
        vm.assertEq(ledger.allowance(bob, spender, id), 0, "nobody else's");
        vm.assertTrue(!ledger.isOperator(bob, spender) && !ledger.isRedeemer(bob, spender), "nobody else's");
    }

    function test_fuzz_transferFrom_spendsExactly(uint256 allowed, uint256 amount) public {
        QuestionId question = _ask(2);
        _pushDown(alice, _path(), question, MAX_AMOUNT);
        amount = _bound(amount, 1, MAX_AMOUNT);
        uint256 id = _rawId(_path(question, 1));
        vm.prank(alice);
        ledger.approve(bob, id, allowed);
        if (allowed < amount) {
            _expect(
                abi.encodeWithSelector(IMultiverse.InsufficientAllowance.selector, alice, bob, id, allowed, amount)
            );
        }
        vm.prank(bob);
        ledger.transferFrom(alice, carol, id, amount);
        uint256 moved = allowed < amount ? 0 : amount;
        vm.assertEq(ledger.balanceOf(carol, id), moved, "moved");
        bool unlimited = allowed == type(uint256).max;
        vm.assertEq(ledger.allowance(alice, bob, id), unlimited ? allowed : allowed - moved, "left");
    }

    function test_fuzz_idsOfPaths(uint256 depth, uint256 seed, address other) public {
        depth = _bound(depth, 1, DEPTH);
        (Answer[] memory path, QuestionId question) = _deepPath(uint8(2 + (seed % 253)), depth, seed % depth);
        path = _with(path, question, seed % question.outcomeCount());
        bytes32 verse = 0;
        for (uint256 i = 0; i < path.length; ++i) {
            uint256 count = uint256(QuestionId.unwrap(path[i].question)) & 0xff;
            uint256 hash = uint256(keccak256(abi.encode(verse, path[i].question)));
            verse = bytes32(((hash >> 16) << 16) | (count << 8) | path[i].outcome);
        }
        vm.assertEq(VerseId.unwrap(ledger.verseId(path)), verse, "verse");
        uint256 raw = uint256(verse);
        uint256 group = uint256(keccak256(abi.encode((raw >> 16) << 16, other)));
        uint256 id = PositionId.unwrap(ledger.positionId(VerseId.wrap(verse), other));
        vm.assertEq(id, ((group >> 16) << 16) | (raw & 0xffff), "position");

        // Any two neighbours swapped, or one twice, and there is no such path.
        if (path.length == 1) return;
        uint256 at = seed % (path.length - 1);
        (path[at], path[at + 1]) = (path[at + 1], path[at]);
        _expect(abi.encodeWithSelector(IMultiverse.PathNotAscending.selector, at + 1));
        ledger.verseId(path);
        path[at + 1] = path[at];
        _expect(abi.encodeWithSelector(IMultiverse.PathNotAscending.selector, at + 1));
        ledger.verseId(path);
    }

    function test_fuzz_describe(uint256 depth, uint256 seed) public {
        depth = _bound(depth, 1, DEPTH);
        (Answer[] memory path, QuestionId question) = _deepPath(2, depth, seed % depth);
        path = _with(path, question, seed % 2);
        PositionId id = ledger.describe(path, address(token));
        vm.assertEq(PositionId.unwrap(id), _rawId(path), "id");
        (Answer[] memory stored, address of_) = ledger.description(id);
        vm.assertEq(keccak256(abi.encode(stored, of_)), keccak256(abi.encode(path, address(token))), "preimage");
        vm.assertTrue(bytes(ledger.name(PositionId.unwrap(id))).length >= 11 + 16 * depth, "every answer is named");
    }

    function test_fuzz_supportsInterface(bytes4 id) public view {
        bool expected =
            id == 0x01ffc9a7 ||
                id == 0x0f632fb3 ||
                id ==
                    bytes4(keccak256("name(uint256)")) ^
                        bytes4(keccak256("symbol(uint256)")) ^
                        bytes4(keccak256("decimals(uint256)")) ||
                id == type(IMultiverse).interfaceId;
        vm.assertTrue(ledger.supportsInterface(id) == expected, "interface");
    }

    /* helpers */

    function _assertRoundTrip(uint8 outcomes, uint256 place, uint256 amount) private {
        _assertRoundTrip(outcomes, DEPTH, place, amount);
    }

    /// @dev Down and up at `depth`, the question sorting at `place` among the path's others.
    function _assertRoundTrip(uint8 outcomes, uint256 depth, uint256 place, uint256 amount) private {
        (Answer[] memory path, QuestionId question) = _deepPath(outcomes, depth, place);
        _enter(path, amount);

        uint256 before = gasleft();
        _pushDown(alice, path, question, amount);
        vm.assertTrue(before - gasleft() < TRANSACTION_CAP, "push-down fits");
        uint256[3] memory some = [uint256(0), outcomes / 2, outcomes - 1];
        for (uint256 i = 0; i < 3; ++i) _assertBalance(alice, _with(path, question, some[i]), amount, "child");
        if (path.length != 0) _assertBalance(alice, path, 0, "parent");

        before = gasleft();
        _pullUp(alice, path, question, amount);
        vm.assertTrue(before - gasleft() < TRANSACTION_CAP, "pull-up fits");
        _assertBalance(alice, _with(path, question, outcomes - 1), 0, "child");
        if (path.length != 0) _assertBalance(alice, path, amount, "parent");
    }

    /// @dev A path of `depth - 1` answers, and a question that sorts at `place` into it.
    function _deepPath(
        uint8 outcomes,
        uint256 depth,
        uint256 place
    ) private returns (Answer[] memory path, QuestionId question) {
        // Near the fraction of all ids that `place` is, so that few others have to be thrown away.
        uint256 target = (type(uint256).max / depth) * place + type(uint256).max / depth / 2;
        do question = _ask(outcomes); while (_distance(uint256(QuestionId.unwrap(question)), target) > 2 ** 252);
        path = _path();
        uint256 lower = place;
        uint256 higher = depth - 1 - place;
        while (lower + higher != 0) {
            QuestionId other = _ask(2);
            if (other < question ? lower == 0 : higher == 0) continue;
            if (other < question) --lower;
            else --higher;
            path = _with(path, other, 1);
        }
    }

    function _distance(uint256 a, uint256 b) private pure returns (uint256) {
        return a > b ? a - b : b - a;
    }

    /// @dev Gives alice `amount` in the verse, question by question.
    function _enter(Answer[] memory path, uint256 amount) private {
        Answer[] memory reached = _path();
        for (uint256 i = 0; i < path.length; ++i) {
            _pushDown(alice, reached, path[i].question, amount);
            reached = _with(reached, path[i].question, path[i].outcome);
        }
    }
}
